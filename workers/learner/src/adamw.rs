//! AdamW (arXiv 1711.05101), whose whole state can be written to a checkpoint: libtorch's own optimiser does not offer that
//! through `tch`.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Settings beside the learning rate, which is given at each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f64,
    /// The gradient's global norm is cut here.
    pub clip_norm: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
        }
    }
}

/// The optimiser: parameters by name with their two moments.
#[derive(Debug)]
pub struct AdamW {
    settings: Settings,
    slots: Vec<Slot>,
    steps: u64,
}

#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Tensor,
    first: Tensor,
    second: Tensor,
}

impl AdamW {
    /// Returns an optimiser of these parameters, with zero moments. `parameters` share storage with the model's.
    #[must_use]
    pub fn new(parameters: Vec<(String, Tensor)>, settings: Settings) -> Self {
        let slots = parameters
            .into_iter()
            .map(|(name, parameter)| {
                let first = parameter.detach().zeros_like();
                let second = first.zeros_like();
                Slot {
                    name,
                    parameter,
                    first,
                    second,
                }
            })
            .collect();
        Self {
            settings,
            slots,
            steps: 0,
        }
    }

    /// Makes one update with a gradient: one tensor per parameter, in their order; an empty one changes nothing. Returns the
    /// gradient's global norm before the cut; a norm that is not finite changes nothing either.
    pub fn step(&mut self, gradient: &[Tensor], learning_rate: f64) -> f64 {
        if gradient.is_empty() {
            return 0.0;
        }
        let Settings {
            beta1,
            beta2,
            eps,
            weight_decay,
            clip_norm,
        } = self.settings;
        tch::no_grad(|| {
            let squares: Vec<Tensor> = gradient
                .iter()
                .map(|g| g.square().sum(Kind::Double))
                .collect();
            let norm = Tensor::stack(&squares, 0)
                .sum(Kind::Double)
                .sqrt()
                .double_value(&[]);
            if !norm.is_finite() {
                return norm;
            }
            self.steps += 1;
            let cut = if norm > clip_norm {
                clip_norm / norm
            } else {
                1.0
            };
            let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
            let scale1 = 1.0 - beta1.powi(steps);
            let scale2 = (1.0 - beta2.powi(steps)).sqrt();
            for (slot, gradient) in self.slots.iter_mut().zip(gradient) {
                let gradient = if cut < 1.0 {
                    gradient * cut
                } else {
                    gradient.shallow_clone()
                };
                let _ = slot.first.lerp_(&gradient, 1.0 - beta1);
                let _ = slot.second.g_mul_scalar_(beta2);
                let _ = slot
                    .second
                    .addcmul_(&gradient, &(&gradient * (1.0 - beta2)));
                let denominator = slot.second.sqrt() / scale2 + eps;
                if slot.parameter.dim() > 1 {
                    let _ = slot
                        .parameter
                        .g_mul_scalar_(1.0 - learning_rate * weight_decay);
                }
                let update = &slot.first / denominator * (-learning_rate / scale1);
                let _ = slot.parameter.g_add_(&update);
            }
            norm
        })
    }

    /// Returns the number of updates.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the moments, for a checkpoint: `first.NAME` and `second.NAME`.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.slots
            .iter()
            .flat_map(|slot| {
                [
                    (format!("first.{}", slot.name), slot.first.shallow_clone()),
                    (format!("second.{}", slot.name), slot.second.shallow_clone()),
                ]
            })
            .collect()
    }

    /// Restores the state that [`AdamW::state`] returned after `steps` updates.
    ///
    /// # Errors
    /// The name of the tensor that is missing or has another shape; nothing is changed then.
    pub fn restore(&mut self, state: &[(String, Tensor)], steps: u64) -> Result<(), String> {
        let find = |name: &str, like: &Tensor| {
            let found = state.iter().find(|(n, _)| n == name).map(|(_, t)| t);
            match found {
                Some(tensor) if tensor.size() == like.size() => Ok(tensor.shallow_clone()),
                Some(_) => Err(format!("optimiser tensor {name} has another shape")),
                None => Err(format!("optimiser tensor {name} is missing")),
            }
        };
        let mut found = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let first = find(&format!("first.{}", slot.name), &slot.first)?;
            let second = find(&format!("second.{}", slot.name), &slot.second)?;
            found.push((first, second));
        }
        for (slot, (first, second)) in self.slots.iter_mut().zip(found) {
            slot.first.copy_(&first);
            slot.second.copy_(&second);
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient_of_square(weight: &Tensor) -> Vec<Tensor> {
        Tensor::run_backward(&[weight.square().sum(Kind::Float)], &[weight], false, false)
    }

    #[test]
    fn a_restored_optimiser_goes_on_bit_for_bit() {
        let run = |interrupt: bool| {
            let weight = Tensor::from_slice(&[1.0f32, -2.0, 3.0]).set_requires_grad(true);
            let make = || {
                AdamW::new(
                    vec![("w".into(), weight.shallow_clone())],
                    Settings::default(),
                )
            };
            let mut adam = make();
            for step in 0..6 {
                if interrupt && step == 3 {
                    let (state, steps) = (adam.state(), adam.steps());
                    adam = make();
                    adam.restore(&state, steps).unwrap();
                }
                adam.step(&gradient_of_square(&weight), 0.1);
            }
            Vec::<f32>::try_from(weight.detach()).unwrap()
        };
        assert_eq!(run(false), run(true));
    }

    #[test]
    fn the_first_step_moves_each_weight_by_the_learning_rate_against_its_gradient() {
        let weight = Tensor::from_slice(&[1.0f32, -2.0]).set_requires_grad(true);
        let mut adam = AdamW::new(
            vec![("w".into(), weight.shallow_clone())],
            Settings::default(),
        );
        let norm = adam.step(&gradient_of_square(&weight), 0.1);
        assert!((norm - 20.0f64.sqrt()).abs() < 1e-5);
        let moved = Vec::<f32>::try_from(weight.detach()).unwrap();
        assert!((moved[0] - 0.9).abs() < 1e-4 && (moved[1] + 1.9).abs() < 1e-4);
    }
}
