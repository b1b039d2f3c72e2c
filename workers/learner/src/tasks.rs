//! The scheduler of episodes: plain futures, polled by one thread, over an engine that answers whoever has asked in batches.
//!
//! Expected flow of a round: every task that was woken is polled; places of tasks that ended are taken by the next ones; when
//! no task can go on without the engine, the engine takes a step, which wakes the tasks that it answered.
//!
//! Guarantee of [`Pace::Lockstep`]: the engine steps and places are taken again only when every live task has asked or ended,
//! so the batches are the same however long anything else in a task takes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

/// Time that a thread sleeps at most before it looks for woken tasks again.
const NAP: Duration = Duration::from_millis(50);

/// A task at a place.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// An engine that answers several tasks at once.
pub trait Batching {
    /// The error that ends all tasks.
    type Error;

    /// Returns the number of tasks that wait for an answer of this engine.
    fn waiting(&self) -> usize;

    /// Works on the answers, and wakes the tasks whose answer is complete.
    ///
    /// # Errors
    /// When no task can be answered any more.
    fn step(&self) -> Result<(), Self::Error>;
}

/// The rule by which the engine steps while some tasks wait for something other than the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Waits until every live task has asked or ended.
    Lockstep,
    /// Steps with those that have asked.
    Eager,
}

/// Runs tasks at `places` places until `next` has no more. `next` makes the task of a place; `done` takes its result.
///
/// # Errors
/// The first error of the engine or of `done`; tasks that have not ended are dropped.
pub fn drive<'a, T, E>(
    places: usize,
    pace: Pace,
    engine: &dyn Batching<Error = E>,
    mut next: impl FnMut(usize) -> Option<Task<'a, T>>,
    mut done: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut live: Vec<Place<'a, T>> = (0..places.max(1)).map(|_| Place::new()).collect();
    loop {
        for place in &mut live {
            if let Some(result) = place.poll() {
                done(result)?;
            }
        }
        let alive = live.iter().filter(|place| place.task.is_some()).count();
        let waiting = engine.waiting();
        let elsewhere = alive.saturating_sub(waiting);
        let settled = elsewhere == 0 || pace == Pace::Eager;
        if settled && refill(&mut live, &mut next) {
            continue;
        }
        if live.iter().any(Place::is_woken) {
            continue;
        }
        match (alive, waiting) {
            (0, 0) => return Ok(()),
            (_, 0) => std::thread::park_timeout(NAP),
            _ if !settled => std::thread::park_timeout(NAP),
            _ => engine.step()?,
        }
    }
}

/// Gives free places, in their order, the next tasks. Returns true when any was given one.
fn refill<'a, T>(
    live: &mut [Place<'a, T>],
    next: &mut impl FnMut(usize) -> Option<Task<'a, T>>,
) -> bool {
    let mut any = false;
    for (number, place) in live.iter_mut().enumerate() {
        if place.task.is_none() {
            match next(number) {
                Some(task) => place.begin(task),
                None => return any,
            }
            any = true;
        }
    }
    any
}

/// A place and the task that has it.
struct Place<'a, T> {
    task: Option<Task<'a, T>>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// The mark of a woken task.
struct Flag {
    woken: AtomicBool,
    thread: Thread,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl<'a, T> Place<'a, T> {
    fn new() -> Self {
        let flag = Arc::new(Flag {
            woken: AtomicBool::new(false),
            thread: std::thread::current(),
        });
        let waker = Waker::from(flag.clone());
        Self {
            task: None,
            flag,
            waker,
        }
    }

    fn begin(&mut self, task: Task<'a, T>) {
        self.task = Some(task);
        self.flag.woken.store(true, Ordering::Release);
    }

    fn is_woken(&self) -> bool {
        self.task.is_some() && self.flag.woken.load(Ordering::Acquire)
    }

    /// Polls the task if it was woken. Returns its result when it ends.
    fn poll(&mut self) -> Option<T> {
        let task = self.task.as_mut()?;
        if !self.flag.woken.swap(false, Ordering::AcqRel) {
            return None;
        }
        match task.as_mut().poll(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(result) => {
                self.task = None;
                Some(result)
            }
            Poll::Pending => None,
        }
    }
}

/// The numbers of items, dealt to pieces in runs of neighbours.
pub struct Queues {
    queues: Vec<Mutex<VecDeque<usize>>>,
    steal: bool,
}

impl Queues {
    /// Deals `count` items to `pieces` queues. With `steal`, a piece whose queue is empty takes the last item of the
    /// longest other one; without, a piece's items depend on the numbers alone.
    #[must_use]
    pub fn deal(count: usize, pieces: usize, steal: bool) -> Self {
        let queues = shares(count, pieces)
            .map(|share| Mutex::new(share.collect()))
            .collect();
        Self { queues, steal }
    }

    /// Takes the next item of a piece.
    #[must_use]
    pub fn next(&self, piece: usize) -> Option<usize> {
        let own = self.queues.get(piece)?;
        let item = own.lock().pop_front();
        if item.is_some() || !self.steal {
            return item;
        }
        loop {
            let longest = self.queues.iter().max_by_key(|queue| queue.lock().len())?;
            // Another piece may have emptied it meanwhile.
            let item = longest.lock().pop_back();
            if item.is_some() {
                return item;
            }
            if self.queues.iter().all(|queue| queue.lock().is_empty()) {
                return None;
            }
        }
    }
}

/// Cuts the numbers below `count` into at most `pieces` runs whose lengths differ by one at most.
pub fn shares(count: usize, pieces: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let pieces = pieces.clamp(1, count.max(1));
    (0..pieces).map(move |piece| count * piece / pieces..count * (piece + 1) / pieces)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::*;

    /// An engine that answers one unit of work a step for each who asked, and records its batches.
    #[derive(Default)]
    struct Mock {
        asked: RefCell<Vec<Asked>>,
        batches: RefCell<Vec<Vec<usize>>>,
    }

    struct Asked {
        seat: usize,
        left: usize,
        answered: Rc<RefCell<bool>>,
        waker: Option<Waker>,
    }

    impl Mock {
        async fn sample(&self, seat: usize, left: usize) {
            let answered = Rc::new(RefCell::new(false));
            self.asked.borrow_mut().push(Asked {
                seat,
                left,
                answered: answered.clone(),
                waker: None,
            });
            std::future::poll_fn(|cx| {
                if *answered.borrow() {
                    return Poll::Ready(());
                }
                let mut asked = self.asked.borrow_mut();
                let own = asked.iter_mut().find(|one| one.seat == seat);
                own.expect("it was asked").waker = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }

    impl Batching for Mock {
        type Error = String;

        fn waiting(&self) -> usize {
            self.asked.borrow().len()
        }

        fn step(&self) -> Result<(), String> {
            let mut asked = self.asked.borrow_mut();
            let mut batch: Vec<usize> = asked.iter().map(|one| one.seat).collect();
            batch.sort_unstable();
            self.batches.borrow_mut().push(batch);
            for one in asked.iter_mut() {
                one.left -= 1;
                if one.left == 0 {
                    *one.answered.borrow_mut() = true;
                    one.waker.take().expect("it waits").wake();
                }
            }
            asked.retain(|one| one.left > 0);
            Ok(())
        }
    }

    /// Waits for another thread, which takes its time.
    async fn elsewhere(micros: u64) {
        let done = Arc::new(AtomicBool::new(false));
        let mut started = false;
        std::future::poll_fn(|cx| {
            if done.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            if !started {
                started = true;
                let (done, waker) = (done.clone(), cx.waker().clone());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_micros(micros));
                    done.store(true, Ordering::Release);
                    waker.wake();
                });
            }
            Poll::Pending
        })
        .await;
    }

    /// Plays seats whose turns have these lengths. `delay` is the time that a seat spends elsewhere before each turn.
    fn play(
        seats: &[Vec<usize>],
        places: usize,
        pace: Pace,
        delay: impl Fn(usize) -> u64,
    ) -> (Vec<usize>, Vec<Vec<usize>>) {
        let engine = Mock::default();
        let queues = Queues::deal(seats.len(), 1, false);
        let mut order = Vec::new();
        let (mock, delay) = (&engine, &delay);
        let next = |_| {
            let seat = queues.next(0)?;
            let task: Task<'_, usize> = Box::pin(async move {
                for turn in &seats[seat] {
                    if delay(seat) > 0 {
                        elsewhere(delay(seat)).await;
                    }
                    mock.sample(seat, *turn).await;
                }
                seat
            });
            Some(task)
        };
        let ended = drive(places, pace, &engine, next, |seat| {
            order.push(seat);
            Ok(())
        });
        assert_eq!(ended, Ok(()));
        (order, engine.batches.into_inner())
    }

    fn some_seats() -> impl Strategy<Value = Vec<Vec<usize>>> {
        proptest::collection::vec(proptest::collection::vec(1usize..5, 0..4), 0..24)
    }

    proptest! {
        #[test]
        fn every_seat_is_played_once_and_free_places_are_taken_at_once(
            seats in some_seats(), places in 1usize..8
        ) {
            let (mut order, batches) = play(&seats, places, Pace::Eager, |_| 0);
            order.sort_unstable();
            prop_assert_eq!(order, (0..seats.len()).collect::<Vec<_>>());
            // No batch is smaller than the places while a seat that has a turn waits in the queue.
            let last = |seat: usize| batches.iter().position(|batch| batch.contains(&seat));
            for (at, batch) in batches.iter().enumerate() {
                let queued = (0..seats.len()).any(|seat| last(seat).is_some_and(|first| first > at));
                prop_assert!(batch.len() == places || !queued, "{at}: {batch:?}");
            }
        }

        #[test]
        fn every_item_is_dealt_to_one_piece(count in 0usize..50, pieces in 1usize..9, steal: bool) {
            let queues = Queues::deal(count, pieces, steal);
            let mut seen = Vec::new();
            // The last piece is the fastest.
            for piece in (0..pieces).rev() {
                while let Some(item) = queues.next(piece) {
                    seen.push(item);
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn batches_in_lockstep_do_not_depend_on_the_time_that_tasks_take_elsewhere() {
        let seats: Vec<Vec<usize>> = (0..14).map(|n| vec![1 + n % 3, 1 + n % 4]).collect();
        let quick = play(&seats, 4, Pace::Lockstep, |_| 0);
        for scatter in [7, 13] {
            let slow = |seat: usize| 1 + (seat as u64 * scatter) % 5 * 700;
            let (_, batches) = play(&seats, 4, Pace::Lockstep, slow);
            assert_eq!(batches, quick.1);
        }
        // Without it stragglers are left behind.
        let straggler = |seat: usize| if seat == 0 { 60_000 } else { 0 };
        let (order, _) = play(&seats, 4, Pace::Eager, straggler);
        assert_eq!(order.last(), Some(&0));
    }

    #[test]
    fn an_error_of_the_engine_ends_all_tasks() {
        struct Broken;
        impl Batching for Broken {
            type Error = String;
            fn waiting(&self) -> usize {
                2
            }
            fn step(&self) -> Result<(), String> {
                Err("broken".into())
            }
        }
        let next = |_| -> Option<Task<'_, ()>> { Some(Box::pin(std::future::pending())) };
        let ended = drive(2, Pace::Lockstep, &Broken, next, |()| Ok(()));
        assert_eq!(ended, Err("broken".into()));
    }
}
