//! One forward pass over rows of many sequences: matrix products in libtorch, the rest in `kernels`.
//!
//! A row is one id at the next position of its sequence. Prefill and decoding are the same pass: a sequence may have
//! many rows or one, and no row is padding.

use tch::{Kind, Tensor};

use super::cache::Slot;
use super::kernels::{attend, rms_norm, rotate, swiglu};
use crate::decoder::rotation_table;
use crate::{Decoder, ModelError};

/// One id of one sequence. The rows of a sequence come in their order.
pub(super) struct Row {
    /// Index into the slots of the call.
    pub(super) sequence: usize,
    pub(super) id: u32,
    pub(super) wants_logits: bool,
}

/// The parts of a decoder that a forward pass reads, sharing its storage.
pub(super) struct Weights {
    pub(super) vocab: usize,
    hidden: usize,
    inner: usize,
    heads: usize,
    kv: usize,
    pub(super) width: usize,
    eps: f32,
    embedding: Tensor,
    norm: Vec<f32>,
    head: Tensor,
    layers: Vec<Layer>,
    /// `[position][width]`: cos and sin of each pair.
    turns: Vec<f32>,
}

/// Matrices transposed, as the products want them.
struct Layer {
    input_norm: Vec<f32>,
    qkv: Tensor,
    qkv_bias: Option<Tensor>,
    output: Tensor,
    output_bias: Option<Tensor>,
    post_norm: Vec<f32>,
    gate_up: Tensor,
    down: Tensor,
}

impl Weights {
    pub(super) fn of(decoder: &Decoder, positions: usize) -> Self {
        let config = decoder.config();
        let shared = |tensor: &Tensor| tensor.detach();
        let turned = |tensor: &Tensor| tensor.detach().tr();
        let floats = |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach()).unwrap_or_default();
        let layers = decoder
            .layers
            .iter()
            .map(|layer| Layer {
                input_norm: floats(&layer.input_norm),
                qkv: turned(&layer.qkv.whole),
                qkv_bias: layer.qkv_bias.as_ref().map(|bias| shared(&bias.whole)),
                output: turned(&layer.output),
                output_bias: layer.output_bias.as_ref().map(shared),
                post_norm: floats(&layer.post_norm),
                gate_up: turned(&layer.gate_up.whole),
                down: turned(&layer.down),
            })
            .collect();
        Self {
            vocab: config.vocab_size,
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            kv: config.kv_heads(),
            width: config.head_width(),
            eps: config.rms_norm_eps as f32,
            embedding: shared(&decoder.embedding),
            norm: floats(&decoder.norm),
            head: turned(decoder.head_matrix()),
            layers,
            turns: rotation_table(config, 0..positions).into_flattened(),
        }
    }

    /// Appends the rows to their sequences; returns `[wanted, vocab]`, the logits of the rows that want them, in order.
    pub(super) fn forward(
        &self,
        slots: &mut [&mut Slot],
        rows: &[Row],
    ) -> Result<Tensor, ModelError> {
        let positions = self.place(slots, rows);
        let ids: Vec<i64> = rows.iter().map(|row| i64::from(row.id)).collect();
        let stream = self
            .embedding
            .f_index_select(0, &Tensor::from_slice(&ids))?;
        let count = rows.len() as i64;
        let buffer =
            |width: usize| Tensor::f_empty([count, width as i64], (Kind::Float, tch::Device::Cpu));
        let mut normed = buffer(self.hidden)?;
        let mut qkv = buffer((self.heads + 2 * self.kv) * self.width)?;
        let mut mixed = buffer(self.heads * self.width)?;
        let both = buffer(2 * self.inner)?;
        let mut gated = buffer(self.inner)?;
        for (number, layer) in self.layers.iter().enumerate() {
            rms_norm(
                floats(&stream),
                &layer.input_norm,
                self.eps,
                floats_mut(&mut normed),
            );
            let _ = match &layer.qkv_bias {
                Some(bias) => bias.f_addmm_out(&qkv, &normed, &layer.qkv)?,
                None => normed.f_mm_out(&qkv, &layer.qkv)?,
            };
            self.attend(
                number,
                slots,
                rows,
                &positions,
                floats_mut(&mut qkv),
                floats_mut(&mut mixed),
            );
            let _ = stream.f_addmm_out(&stream, &mixed, &layer.output)?;
            if let Some(bias) = &layer.output_bias {
                let _ = stream.f_add_out(&stream, bias)?;
            }
            rms_norm(
                floats(&stream),
                &layer.post_norm,
                self.eps,
                floats_mut(&mut normed),
            );
            let _ = normed.f_mm_out(&both, &layer.gate_up)?;
            swiglu(floats(&both), self.inner, floats_mut(&mut gated));
            let _ = stream.f_addmm_out(&stream, &gated, &layer.down)?;
        }
        let wanted: Vec<i64> = (0..)
            .zip(rows)
            .filter(|(_, row)| row.wants_logits)
            .map(|(at, _)| at)
            .collect();
        let last = if wanted.len() == rows.len() {
            stream
        } else {
            stream.f_index_select(0, &Tensor::from_slice(&wanted))?
        };
        let mut normed = Tensor::f_empty_like(&last)?;
        rms_norm(floats(&last), &self.norm, self.eps, floats_mut(&mut normed));
        Ok(normed.f_mm(&self.head)?)
    }

    /// The position of each row; makes room for them and counts them as cached.
    fn place(&self, slots: &mut [&mut Slot], rows: &[Row]) -> Vec<usize> {
        let positions = rows
            .iter()
            .map(|row| {
                let slot = &mut slots[row.sequence];
                slot.cached += 1;
                slot.cached - 1
            })
            .collect();
        for row in rows {
            let slot = &mut slots[row.sequence];
            slot.reserve(self.layers.len() * self.kv, self.width, slot.cached);
        }
        positions
    }

    /// Caches the rows' keys and values, then mixes the values that each row sees.
    fn attend(
        &self,
        layer: usize,
        slots: &mut [&mut Slot],
        rows: &[Row],
        positions: &[usize],
        qkv: &mut [f32],
        mixed: &mut [f32],
    ) {
        let width = self.width;
        let (queries, keys) = (self.heads * width, self.kv * width);
        let share = self.heads / self.kv * width;
        let scale = 1.0 / (width as f32).sqrt();
        for ((row, position), qkv) in rows
            .iter()
            .zip(positions)
            .zip(qkv.chunks_exact_mut(queries + 2 * keys))
        {
            let turns = &self.turns[position * width..(position + 1) * width];
            let (query, rest) = qkv.split_at_mut(queries);
            let (key, value) = rest.split_at_mut(keys);
            for head in query.chunks_exact_mut(width) {
                rotate(head, turns, scale);
            }
            let lanes = &mut slots[row.sequence].lanes[layer * self.kv..(layer + 1) * self.kv];
            for ((lane, key), value) in lanes
                .iter_mut()
                .zip(key.chunks_exact_mut(width))
                .zip(value.chunks_exact(width))
            {
                rotate(key, turns, 1.0);
                Slot::put(lane, width, *position, key, value);
            }
        }
        let mut scores = Vec::new();
        let each = rows
            .iter()
            .zip(positions)
            .zip(qkv.chunks_exact(queries + 2 * keys));
        for (((row, position), qkv), mixed) in each.zip(mixed.chunks_exact_mut(queries)) {
            let lanes = &slots[row.sequence].lanes[layer * self.kv..(layer + 1) * self.kv];
            let shares = qkv[..queries]
                .chunks_exact(share)
                .zip(mixed.chunks_exact_mut(share));
            for (lane, (queries, out)) in lanes.iter().zip(shares) {
                attend(lane, position + 1, width, queries, out, &mut scores);
            }
        }
    }
}

/// The numbers of a contiguous float32 CPU tensor.
#[allow(unsafe_code)]
pub(super) fn floats(tensor: &Tensor) -> &[f32] {
    assert!(
        tensor.kind() == Kind::Float
            && tensor.is_contiguous()
            && tensor.device() == tch::Device::Cpu
    );
    // SAFETY: the tensor is float32, dense and in main memory, so `numel` floats lie at its pointer; they live as long
    // as the tensor, and this module gives no operation the same storage while the slice is in use.
    unsafe {
        std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>().cast_const(), tensor.numel())
    }
}

/// The same, to be written.
#[allow(unsafe_code)]
fn floats_mut(tensor: &mut Tensor) -> &mut [f32] {
    assert!(
        tensor.kind() == Kind::Float
            && tensor.is_contiguous()
            && tensor.device() == tch::Device::Cpu
    );
    // SAFETY: as in `floats`; the tensors written to here are buffers that no other handle shares.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}
