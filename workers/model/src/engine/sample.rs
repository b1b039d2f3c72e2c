//! Drawing one id from a row of logits.

use super::kernels::softmax_parts;

/// A drawn id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) id: u32,
    /// Under the distribution it was drawn from; greedy: under temperature 1.
    pub(super) logprob: f32,
}

/// Ids whose probabilities are summed at once on the way to the drawn one.
const STRIDE: usize = 64;

/// The id at which the cumulative distribution passes `uniform`; with temperature 0 the most likely one, the lowest of
/// equals. `scratch` only saves allocations.
pub(super) fn choose(
    logits: &[f32],
    temperature: f64,
    uniform: f64,
    scratch: &mut Vec<f32>,
) -> Choice {
    let greedy = temperature <= 0.0;
    let scale = if greedy {
        1.0
    } else {
        (1.0 / temperature) as f32
    };
    scratch.resize(logits.len(), 0.0);
    let peak = softmax_parts(logits, scale, scratch);
    let sums: Vec<f64> = scratch
        .chunks(STRIDE)
        .map(|part| f64::from(part.iter().sum::<f32>()))
        .collect();
    let total: f64 = sums.iter().sum();
    let at = if greedy {
        logits.iter().position(|l| l * scale >= peak).unwrap_or(0)
    } else {
        draw(scratch, &sums, uniform * total)
    };
    let logprob = f64::from(logits[at] * scale - peak) - total.ln();
    Choice {
        id: at as u32,
        logprob: logprob as f32,
    }
}

fn draw(weights: &[f32], sums: &[f64], mut target: f64) -> usize {
    let mut part = 0;
    while part + 1 < sums.len() && target >= sums[part] {
        target -= sums[part];
        part += 1;
    }
    let start = part * STRIDE;
    let end = (start + STRIDE).min(weights.len());
    let mut last = start;
    for (at, weight) in (start..end).zip(&weights[start..end]) {
        let weight = f64::from(*weight);
        if weight > 0.0 {
            last = at;
            if target < weight {
                return at;
            }
        }
        target -= weight;
    }
    // Rounding can leave a sliver beyond the last weight.
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_drawn_as_often_as_their_probability_says() {
        let logits: Vec<f32> = (0..200).map(|i| (i as f32 * 0.37).sin() * 2.0).collect();
        for temperature in [1.0, 0.5] {
            let weights: Vec<f64> = logits
                .iter()
                .map(|l| (f64::from(*l) / temperature).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            let mut counts = vec![0.0; logits.len()];
            let mut scratch = Vec::new();
            let draws = 40_000;
            for n in 0..draws {
                let choice = choose(
                    &logits,
                    temperature,
                    (f64::from(n) + 0.5) / f64::from(draws),
                    &mut scratch,
                );
                let expected = (weights[choice.id as usize] / total).ln();
                assert!((f64::from(choice.logprob) - expected).abs() < 1e-5);
                counts[choice.id as usize] += 1.0;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                let expected = weight / total * f64::from(draws);
                assert!((count - expected).abs() <= 2.0, "{count} of {expected}");
            }
        }
    }

    #[test]
    fn greedy_takes_the_most_likely_id() {
        let choice = choose(&[0.0, 3.0, 1.0], 0.0, 0.99, &mut Vec::new());
        assert_eq!(choice.id, 1);
        assert!((choice.logprob - (3.0 - (1.0 + 3f32.exp() + 1f32.exp()).ln())).abs() < 1e-6);
    }
}
