//! The generating half of a step: draw tasks, have their groups played, filter them, until the step's batch is full.

use std::sync::Arc;

use agoge_world::Task;

use super::figures::Seen;
use super::{Group, Grpo, OnProgress, Step, version};
use crate::LearnerError;
use crate::rollout::Trajectory;
use crate::shuffle::shuffled;
use crate::source::{GroupRequest, RolloutSource};

impl Grpo<'_> {
    /// Fills a step's batch. Returns its groups, and the figures of what was generated.
    pub(super) fn generate(
        &mut self,
        source: &mut dyn RolloutSource,
        tasks: &[Task],
        number: u64,
        progress: &mut OnProgress<'_>,
    ) -> Result<(Vec<Group>, Step), LearnerError> {
        let bound = self.setup.spec.objective.max_staleness;
        self.pool.expire(|group| group.age(version(number)) > bound);
        let mut seen = Seen::default();
        while let Some(missing) = self.pool.missing() {
            let requests = self.requests(self.batch_size(missing), tasks, number);
            let played = play(source, requests, progress);
            let played = self.exchange(played)?;
            let members = self.setup.spec.group_size as usize;
            let groups: Vec<Group> = played
                .chunks(members)
                .map(|members| self.group(members.to_vec()))
                .collect();
            for group in &groups {
                seen.count(group);
                let members = group.members.iter();
                members.for_each(|one| self.state.idle.count(one, &self.setup.spec));
            }
            self.pool.offer(groups.into_iter().map(|group| {
                let rewards = group.rewards.clone();
                (group, rewards)
            }));
        }
        let (groups, filter) = self.pool.take();
        let mut step = seen.figures(&groups);
        step.step = number;
        step.filter = filter;
        step.staleness = groups
            .iter()
            .map(|group| u64::from(group.age(version(number))))
            .max()
            .unwrap_or(0);
        Ok((groups, step))
    }

    /// Draws the tasks of a generation batch. Returns the groups that this rank plays.
    fn requests(&mut self, count: usize, tasks: &[Task], step: u64) -> Vec<GroupRequest> {
        let drawn: Vec<usize> = (0..count).map(|_| self.draw(tasks.len())).collect();
        let first = self.state.groups;
        self.state.groups += count as u64;
        (0..count)
            .filter(|offset| self.ranks.mine(*offset))
            .map(|offset| GroupRequest {
                task: Arc::new(tasks[drawn[offset]].clone()),
                group: first + offset as u64,
                members: u64::from(self.setup.spec.group_size),
                step,
            })
            .collect()
    }

    /// Draws the next task.
    fn draw(&mut self, tasks: usize) -> usize {
        let (round, at) = (
            self.state.cursor / tasks as u64,
            self.state.cursor % tasks as u64,
        );
        self.state.cursor += 1;
        shuffled(tasks, self.setup.seed, round)[usize::try_from(at).unwrap_or(0)]
    }

    /// Returns the number of groups to generate at once when `missing` are: as many as the last step's share of kept groups
    /// makes likely to be enough. A few at a time would cost as many sequential decoding steps as many; a surplus is carried.
    fn batch_size(&self, missing: usize) -> usize {
        let last = self
            .state
            .steps
            .iter()
            .rev()
            .map(|step| step.filter)
            .find(|f| f.generated > 0);
        let kept = last.map_or(1.0, |f| {
            (f.generated - f.discarded) as f64 / f.generated.max(1) as f64
        });
        let likely = (missing as f64 / kept.clamp(0.25, 1.0)).ceil() as usize;
        likely.max((self.setup.spec.groups_per_step as usize).div_ceil(4))
    }

    /// Returns the trajectories of all ranks, in the order of their groups. A rank that was asked to stop stops all.
    fn exchange(
        &self,
        played: Result<Vec<Trajectory>, LearnerError>,
    ) -> Result<Vec<Trajectory>, LearnerError> {
        const DOING: &str = "exchanging trajectories";
        if self.ranks.world() == 1 {
            return played;
        }
        let own = match played {
            Ok(played) => Some(played),
            Err(LearnerError::Stopped) => None,
            Err(error) => return Err(error),
        };
        let unread = |error: serde_json::Error| LearnerError::Message(error.to_string());
        self.ranks.barrier("playing")?;
        let bytes = serde_json::to_vec(&own).map_err(unread)?;
        let received = self.ranks.gather_bytes(DOING, bytes)?;
        let received: Vec<Option<Vec<Trajectory>>> = received
            .iter()
            .map(|bytes| serde_json::from_slice(bytes).map_err(unread))
            .collect::<Result<_, _>>()?;
        let received: Option<Vec<_>> = received.into_iter().collect();
        let mut all: Vec<Trajectory> = received
            .ok_or(LearnerError::Stopped)?
            .into_iter()
            .flatten()
            .collect();
        all.sort_by_key(|one| (one.group, one.member));
        Ok(all)
    }
}

/// Has groups played. Returns their trajectories in the order of groups and members, whatever the order they ended in.
fn play(
    source: &mut dyn RolloutSource,
    requests: Vec<GroupRequest>,
    progress: &mut OnProgress<'_>,
) -> Result<Vec<Trajectory>, LearnerError> {
    source.submit(requests);
    let mut played = Vec::new();
    while let Some(group) = source.next(progress)? {
        played.extend(group.members);
    }
    played.sort_by_key(|one| (one.group, one.member));
    Ok(played)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use agoge_crds::grpo_run::{GrpoSpec, ObjectiveSpec};
    use agoge_model::Decoder;

    use super::super::Setup;
    use super::super::update::tests::{played, tiny};
    use super::*;
    use crate::source::PlayedGroup;

    /// A source that samples with the published version. The first three groups fail, all others have a signal.
    #[derive(Default)]
    struct Scripted {
        published: Option<u32>,
        submitted: VecDeque<GroupRequest>,
    }

    impl RolloutSource for Scripted {
        fn submit(&mut self, groups: Vec<GroupRequest>) {
            for request in &groups {
                assert_eq!(
                    self.published,
                    Some(version(request.step)),
                    "published before"
                );
            }
            self.submitted.extend(groups);
        }

        fn next(&mut self, _: &mut OnProgress<'_>) -> Result<Option<PlayedGroup>, LearnerError> {
            // The last one that was submitted ends first.
            Ok(self.submitted.pop_back().map(|request| {
                let member = |member: u64| {
                    let passed = request.group >= 3 && member == 0;
                    let mut one = played(&[7 + member as u32], Some(f64::from(u8::from(passed))));
                    (one.group, one.member) = (request.group, member);
                    let versions = &mut one.transcript.versions;
                    versions
                        .iter_mut()
                        .for_each(|v| *v = self.published.unwrap());
                    one
                };
                PlayedGroup {
                    group: request.group,
                    members: (0..request.members).map(member).collect(),
                }
            }))
        }

        fn publish(&mut self, version: u32, _: &Decoder) -> Result<(), LearnerError> {
            self.published = Some(version);
            Ok(())
        }
    }

    fn task() -> Task {
        serde_json::from_value(serde_json::json!({ "id": "t", "gold": [], "user": {} })).unwrap()
    }

    /// The figures of some steps of one group each, and the groups they trained.
    fn steps(max_staleness: u32, count: usize) -> Vec<(Step, Vec<u64>)> {
        let decoder = tiny();
        let spec = GrpoSpec {
            group_size: 2,
            groups_per_step: 1,
            objective: ObjectiveSpec {
                max_staleness,
                ..ObjectiveSpec::default()
            },
            ..GrpoSpec::default()
        };
        let mut grpo = Grpo::new(&decoder, None, Setup::of(spec));
        let mut source = Scripted::default();
        let mut step = || {
            let (step, groups) = grpo.step(&mut source, &[task()], |_| Ok(())).unwrap();
            (step, groups.iter().map(|g| g.members[0].group).collect())
        };
        (0..count).map(|_| step()).collect()
    }

    #[test]
    fn carried_groups_are_trained_on_up_to_their_age_and_have_figures() {
        let all = steps(1, 4);
        // Step 1 needs four groups for one with a signal, so that step 2 generates four and carries three.
        let trained: Vec<&[u64]> = all.iter().map(|(_, groups)| groups.as_slice()).collect();
        assert_eq!(trained[..3], [&[3][..], &[4], &[5]]);
        let (third, fourth) = (&all[2].0, &all[3].0);
        assert_eq!((all[1].0.staleness, third.staleness), (0, 1));
        assert_eq!((third.filter.generated, third.sampled_tokens), (0, 0));
        assert_eq!((third.reward_all, third.mixed), (0.5, 1.0));
        assert_eq!(fourth.filter.expired, 2, "two versions old");
        assert_eq!((fourth.staleness, fourth.filter.generated > 0), (0, true));
    }

    #[test]
    fn training_at_a_maximum_age_of_0_uses_only_what_the_current_version_sampled() {
        let all = steps(0, 4);
        assert!(all.iter().all(|(step, _)| step.staleness == 0));
        assert!(all.iter().all(|(step, _)| step.filter.generated > 0));
        assert_eq!(all[2].0.filter.expired, 3);
    }
}
