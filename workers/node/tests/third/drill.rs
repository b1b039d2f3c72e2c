//! The strategy `drill`: tasks of one branch of the domain's templates, and no others.

use agoge_crds::shared::Part;
use agoge_synthesis::cx::Cx;
use agoge_synthesis::strategy::{Product, Stop, Strategy};
use agoge_world::{Split, more};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `drill`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    /// The branch, such as `renew/paid`.
    #[schemars(length(min = 1, max = 64))]
    pub branch: String,
    /// Tasks of the branch that are passed over. Unset: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub skip: Option<u32>,
}

impl Strategy for Drill {
    const NAME: &'static str = "drill";
    const SUMMARY: &'static str = "Tasks of one branch of the domain's templates.";
    type Shared = ();

    fn roles() -> &'static [Part] {
        &[]
    }

    async fn prepare(&self, _cx: &mut Cx) -> Result<(), Stop> {
        Ok(())
    }

    async fn attempt(&self, cx: &mut Cx, (): &()) -> Result<Product, Stop> {
        let from = self.skip.unwrap_or(0) as usize + cx.item().number as usize;
        let found = more(
            cx.domain(),
            Split::TrainRl,
            cx.seed(),
            &self.branch,
            from,
            1,
        )
        .map_err(|error| cx.reject(error.to_string()))?;
        let Some(task) = found.first() else {
            return Err(cx.reject(format!("the branch {} has no task {from}", self.branch)));
        };
        Ok(Product::Trajectory(cx.demonstrate(task)?))
    }
}
