//! The parts of a decoding step that are no matrix product, on plain slices. Each is compiled for the vector units that
//! the machine may have, and the widest is taken at run time.

use super::cache::BLOCK;

/// Compiles a kernel three times and picks one at run time.
macro_rules! kernel {
    ($(#[$doc:meta])* $vis:vis fn $name:ident $(<$(const $w:ident: usize),+>)? ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(unsafe_code)]
        $vis fn $name $(<$(const $w: usize),+>)? ($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn plain $(<$(const $w: usize),+>)? ($($arg: $type),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512 $(<$(const $w: usize),+>)? ($($arg: $type),*) $(-> $out)? { plain $(::<$($w),+>)? ($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2 $(<$(const $w: usize),+>)? ($($arg: $type),*) $(-> $out)? { plain $(::<$($w),+>)? ($($arg),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("avx512dq") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx512 $(::<$($w),+>)? ($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features were detected on this machine.
                    return unsafe { avx2 $(::<$($w),+>)? ($($arg),*) };
                }
            }
            plain $(::<$($w),+>)? ($($arg),*)
        }
    };
}

/// `e^x` to 2 units in the last place, without branches, so that a loop over it becomes vector code (the polynomial is
/// Cephes' `expf`). Below -87 it is about 1e-38, above 88 about 1e38.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding this constant leaves the rounded integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4f32;
    for c in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p.mul_add(r, c);
    }
    let p = (p * r).mul_add(r, r) + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127);
    p * f32::from_bits(exponent << 23)
}

/// Sum of a row in eight interleaved parts, as vector code adds it.
#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let mut parts = [0f32; 16];
    let mut chunks = row.chunks_exact(16);
    for chunk in &mut chunks {
        for (part, x) in parts.iter_mut().zip(chunk) {
            *part += x;
        }
    }
    parts.iter().sum::<f32>() + chunks.remainder().iter().sum::<f32>()
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut parts = [f32::NEG_INFINITY; 16];
    let mut chunks = row.chunks_exact(16);
    for chunk in &mut chunks {
        for (part, x) in parts.iter_mut().zip(chunk) {
            *part = if *x > *part { *x } else { *part };
        }
    }
    parts
        .iter()
        .chain(chunks.remainder())
        .fold(f32::NEG_INFINITY, |a, b| a.max(*b))
}

kernel! {
    /// `exp(scale * logits - peak)` into `out`; returns the peak, the largest `scale * logits`.
    pub(super) fn softmax_parts(logits: &[f32], scale: f32, out: &mut [f32]) -> f32 {
        let peak = largest(logits) * scale;
        for (out, x) in out.iter_mut().zip(logits) {
            *out = exp(x.mul_add(scale, -peak));
        }
        peak
    }
}

kernel! {
    /// RMSNorm of each row of `width`.
    pub(super) fn rms_norm(rows: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        let width = weight.len();
        for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mut squares = [0f32; 16];
            let mut chunks = row.chunks_exact(16);
            for chunk in &mut chunks {
                for (s, x) in squares.iter_mut().zip(chunk) {
                    *s = x.mul_add(*x, *s);
                }
            }
            let total = sum(&squares) + chunks.remainder().iter().map(|x| x * x).sum::<f32>();
            let scale = 1.0 / (total / width as f32 + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(row).zip(weight) {
                *out = x * scale * w;
            }
        }
    }
}

kernel! {
    /// `silu(gate) * up` of rows that hold gate and up side by side.
    pub(super) fn swiglu(rows: &[f32], inner: usize, out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(inner * 2).zip(out.chunks_exact_mut(inner)) {
            let (gate, up) = row.split_at(inner);
            for ((out, g), u) in out.iter_mut().zip(gate).zip(up) {
                *out = g / (1.0 + exp(-g)) * u;
            }
        }
    }
}

kernel! {
    /// Turns the pairs `(i, i + width / 2)` of one head by the angles of its position, then scales.
    pub(super) fn rotate(head: &mut [f32], turns: &[f32], scale: f32) {
        let (low, high) = head.split_at_mut(turns.len() / 2);
        for ((a, b), turn) in low.iter_mut().zip(high).zip(turns.chunks_exact(2)) {
            let (cos, sin) = (turn[0] * scale, turn[1] * scale);
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

/// Attention of the query heads that share a lane, over its first `length` positions; the queries are already scaled.
pub(super) fn attend(
    lane: &[f32],
    length: usize,
    width: usize,
    queries: &[f32],
    out: &mut [f32],
    scores: &mut Vec<f32>,
) {
    let padded = length.div_ceil(BLOCK) * BLOCK;
    scores.resize(2 * padded, 0.0);
    // Two heads at a time read each key and value once; the widths in use get code of their own, in which a head stays
    // in registers.
    for (queries, out) in queries.chunks(2 * width).zip(out.chunks_mut(2 * width)) {
        let two = queries.len() > width;
        let scores = &mut scores[..if two { 2 * padded } else { padded }];
        match (width, two) {
            (16, true) => attend_wide::<16, 2>(lane, length, queries, out, scores),
            (16, false) => attend_wide::<16, 1>(lane, length, queries, out, scores),
            (32, true) => attend_wide::<32, 2>(lane, length, queries, out, scores),
            (32, false) => attend_wide::<32, 1>(lane, length, queries, out, scores),
            (40, true) => attend_wide::<40, 2>(lane, length, queries, out, scores),
            (40, false) => attend_wide::<40, 1>(lane, length, queries, out, scores),
            (48, true) => attend_wide::<48, 2>(lane, length, queries, out, scores),
            (48, false) => attend_wide::<48, 1>(lane, length, queries, out, scores),
            (64, true) => attend_wide::<64, 2>(lane, length, queries, out, scores),
            (64, false) => attend_wide::<64, 1>(lane, length, queries, out, scores),
            (128, true) => attend_wide::<128, 2>(lane, length, queries, out, scores),
            (128, false) => attend_wide::<128, 1>(lane, length, queries, out, scores),
            _ => {
                for (query, out) in queries.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                    attend_any(lane, length, query, out, &mut scores[..padded]);
                }
            }
        }
    }
}

/// Scores of one head to weights that sum to 1; 0 beyond `length`.
#[inline(always)]
fn softmax(scores: &mut [f32], length: usize) {
    let peak = largest(&scores[..length]);
    for s in scores.iter_mut() {
        *s = exp(*s - peak);
    }
    scores[length..].fill(0.0);
    let scale = 1.0 / sum(scores);
    for s in scores.iter_mut() {
        *s *= scale;
    }
}

kernel! {
    /// `H` heads of width `W`; `scores` has room for each.
    fn attend_wide<const W: usize, const H: usize>(lane: &[f32], length: usize, queries: &[f32], out: &mut [f32], scores: &mut [f32]) {
        let padded = scores.len() / H;
        let queries = &queries[..W * H];
        for (number, block) in lane.chunks_exact(2 * BLOCK * W).take(padded / BLOCK).enumerate() {
            let mut sums = [[0f32; BLOCK]; H];
            for (i, keys) in block[..BLOCK * W].chunks_exact(BLOCK).enumerate() {
                for (h, sums) in sums.iter_mut().enumerate() {
                    let q = queries[h * W + i];
                    for (s, k) in sums.iter_mut().zip(keys) {
                        *s = q.mul_add(*k, *s);
                    }
                }
            }
            for (h, sums) in sums.iter().enumerate() {
                let start = h * padded + number * BLOCK;
                scores[start..start + BLOCK].copy_from_slice(sums);
            }
        }
        for scores in scores.chunks_exact_mut(padded) {
            softmax(scores, length);
        }
        let mut mixed = [[0f32; W]; H];
        for (number, block) in lane.chunks_exact(2 * BLOCK * W).take(padded / BLOCK).enumerate() {
            for (t, values) in block[BLOCK * W..].chunks_exact(W).enumerate() {
                for (h, mixed) in mixed.iter_mut().enumerate() {
                    let s = scores[h * padded + number * BLOCK + t];
                    for (m, v) in mixed.iter_mut().zip(values) {
                        *m = s.mul_add(*v, *m);
                    }
                }
            }
        }
        out[..W * H].copy_from_slice(mixed.as_flattened());
    }
}

kernel! {
    /// One head of any width.
    fn attend_any(lane: &[f32], length: usize, query: &[f32], out: &mut [f32], scores: &mut [f32]) {
        let width = query.len();
        for (block, scores) in lane.chunks_exact(2 * BLOCK * width).zip(scores.chunks_exact_mut(BLOCK)) {
            let mut sums = [0f32; BLOCK];
            for (q, keys) in query.iter().zip(block.chunks_exact(BLOCK)) {
                for (s, k) in sums.iter_mut().zip(keys) {
                    *s = q.mul_add(*k, *s);
                }
            }
            scores.copy_from_slice(&sums);
        }
        softmax(scores, length);
        out.fill(0.0);
        for (block, scores) in lane.chunks_exact(2 * BLOCK * width).zip(scores.chunks_exact(BLOCK)) {
            for (values, s) in block[BLOCK * width..].chunks_exact(width).zip(scores) {
                for (out, v) in out.iter_mut().zip(values) {
                    *out = s.mul_add(*v, *out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_as_exact_as_a_float_can_be() {
        for n in -8600..8700 {
            let x = n as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "exp({x})");
        }
    }
}
