//! Normal random numbers as a pure function of a stream's number, for initial weights.

use agoge_dialogue::random::{hash, unit};

/// `count` numbers of the standard normal distribution (Box-Muller), a function of `stream` alone.
pub(crate) fn normals(stream: u64, count: usize, scale: f64) -> Vec<f32> {
    let mut out = Vec::with_capacity(count + 1);
    for pair in 0..count.div_ceil(2) as u64 {
        let radius = (-2.0 * (1.0 - unit(hash(&[stream, pair, 0]))).ln()).sqrt() * scale;
        let angle = std::f64::consts::TAU * unit(hash(&[stream, pair, 1]));
        out.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    out.truncate(count);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_the_asked_mean_and_deviation() {
        let sample = normals(7, 20_000, 0.5);
        let mean = sample.iter().map(|x| f64::from(*x)).sum::<f64>() / 20_000.0;
        let variance = sample
            .iter()
            .map(|x| (f64::from(*x) - mean).powi(2))
            .sum::<f64>()
            / 20_000.0;
        assert!(
            mean.abs() < 0.02 && (variance.sqrt() - 0.5).abs() < 0.02,
            "{mean} {variance}"
        );
    }
}
