//! The gradient of a loss that is a sum over micro-batches, gathered on several threads and summed in a fixed order.

use agoge_model::Decoder;
use tch::Tensor;

use crate::parallel::{self, Parallelism};

/// Sums of gradients held at once at least: micro-batches are assigned to them in turn, whatever the number of threads.
const LANES: usize = 8;
/// Parameters from which on a gradient is too large to be held more than once; torch's own threads then do the work.
const LARGE: usize = 20_000_000;

/// Calls `work` on each item; it returns a scalar loss and any result beside it. Returns the gradient of the losses' sum,
/// one tensor per parameter in the decoder's order (empty when there is no item), and the results in the order of the items.
pub fn gradient<T: Send, R: Send>(
    decoder: &Decoder,
    parallelism: Parallelism,
    items: Vec<T>,
    work: impl Fn(&Decoder, T) -> (Tensor, R) + Sync,
) -> (Vec<Tensor>, Vec<R>) {
    let size: usize = decoder.parameters().iter().map(|(_, p)| p.numel()).sum();
    let count = if size > LARGE {
        1
    } else {
        LANES.max(parallelism.pieces()).min(items.len())
    };
    let mut lanes: Vec<Lane<T>> = (0..count)
        .map(|_| Lane {
            decoder: decoder.share(),
            items: Vec::new(),
        })
        .collect();
    for (index, item) in items.into_iter().enumerate() {
        lanes[index % count].items.push((index, item));
    }
    let done = parallel::run(parallelism.threads(), lanes, |lane| {
        let parameters: Vec<Tensor> = lane
            .decoder
            .parameters()
            .into_iter()
            .map(|(_, p)| p)
            .collect();
        let mut sum = Vec::new();
        let mut rest = Vec::new();
        for (index, item) in lane.items {
            let (loss, found) = work(&lane.decoder, item);
            add(
                &mut sum,
                Tensor::run_backward(&[loss], &parameters, false, false),
            );
            rest.push((index, found));
        }
        (sum, rest)
    });
    let (mut sum, mut rest) = (Vec::new(), Vec::new());
    for (of_lane, found) in done {
        add(&mut sum, of_lane);
        rest.extend(found);
    }
    rest.sort_by_key(|(index, _)| *index);
    (sum, rest.into_iter().map(|(_, found)| found).collect())
}

struct Lane<T> {
    decoder: Decoder,
    items: Vec<(usize, T)>,
}

fn add(sum: &mut Vec<Tensor>, more: Vec<Tensor>) {
    if sum.is_empty() {
        *sum = more;
        return;
    }
    tch::no_grad(|| {
        for (sum, more) in sum.iter_mut().zip(more) {
            let _ = sum.g_add_(&more);
        }
    });
}
