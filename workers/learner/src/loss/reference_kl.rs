//! The k3 estimate of KL(policy, reference): `exp(d) - d - 1` with `d = reference - new` cut at ±20, and the result cut at 10
//! (GRPO, arXiv 2402.03300).

use tch::Tensor;

/// Returns the penalty of each token for leaving the reference policy, with gradient through `new`.
pub fn reference_kl(new: &Tensor, reference: &Tensor) -> Tensor {
    let gap = (reference - new).clamp(-20.0, 20.0);
    (gap.exp() - &gap - 1.0).clamp(-10.0, 10.0)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn the_penalty_is_zero_at_the_reference_pulls_back_to_it_and_is_bounded() {
        let reference = Tensor::from_slice(&[-1.0f32, -1.0, -1.0, -0.1]);
        let new = Tensor::from_slice(&[-1.0f32, -0.5, -1.5, -9.0]).set_requires_grad(true);
        let penalty = reference_kl(&new, &reference);
        penalty.sum(Kind::Float).backward();
        let pull = Vec::<f32>::try_from(new.grad()).unwrap();
        let values = Vec::<f32>::try_from(penalty.detach()).unwrap();
        assert!(values[0] == 0.0 && values[1] > 0.0 && values[2] > 0.0);
        assert!(pull[0] == 0.0 && pull[1] > 0.0 && pull[2] < 0.0, "{pull:?}");
        assert_eq!((values[3], pull[3]), (10.0, 0.0));
        let want = 0.5f32.exp() - 0.5 - 1.0;
        assert!((values[2] - want).abs() < 1e-6);
    }
}
