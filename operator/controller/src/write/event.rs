//! Events. One that cannot be published is lost without harm: the conditions say the same.

use agoge_crds::conditions;
use agoge_plan::Event;
use kube::Resource;
use kube::runtime::events::{Event as KubeEvent, EventType};

use super::{Operation, Writer};

/// The longest note that the API server accepts is 1 kB.
const MAX_NOTE: usize = 1000;

impl Writer {
    /// Publishes an event about an object.
    pub async fn publish_event<K: Resource<DynamicType = ()>>(&self, object: &K, event: &Event) {
        let published = KubeEvent {
            type_: if event.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: event.reason.clone(),
            note: Some(conditions::shorten(&event.message, MAX_NOTE)),
            action: "Reconcile".into(),
            secondary: None,
        };
        let publish = Operation {
            name: "publish an event",
            verb: "create",
            resource: "events",
        };
        let reference = object.object_ref(&());
        let sent = self
            .send(publish, self.recorder.publish(&published, &reference))
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, reason = event.reason, "an event was not published");
        }
    }
}
