//! How large batches become beside what a device needs for them, in virtual time.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    DeviceError,
    engine::{
        accel::{
            Arrival, BatchLimit, Job, Load, Outcome, Planned, Stay, Unload, Waker, Way,
            Work as Entropy,
        },
        desk::{Asker, Desk},
        policy::Policy,
        station::{Loading, Station},
        submission::{Crew, Submission},
    },
};

const MIB: usize = 1 << 20;

/// A device that is through with a batch by the next time that it is asked, and the blocks of a MiB that it was given.
#[derive(Clone, Default)]
struct Paced {
    at_work: bool,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Accelerator for Paced {
    fn name(&self) -> &str {
        "paced"
    }

    fn uuid(&self) -> [u8; 16] {
        [0; 16]
    }

    fn batch_limit(&self) -> BatchLimit {
        BatchLimit { parts: 100, raw_bytes: 16 * MIB }
    }

    fn slots(&self) -> usize {
        1
    }

    fn idle_slots(&self) -> usize {
        usize::from(!self.at_work)
    }

    fn staging_bytes(&self) -> u64 {
        0
    }

    fn shrink(&mut self, _staging: u64) {}

    fn waker(&self) -> Waker {
        Arc::new(|| {})
    }

    fn measure(&mut self, _spans: bool) {}

    fn plan(&mut self, works: &[&Entropy<'_>]) -> Result<Planned, DeviceError> {
        self.batches.lock().unwrap().push(works.len());
        let ways = works.iter().map(|_| Way { load: None, in_place: false }).collect();
        Ok(Planned { slot: 0, ways })
    }

    fn start(&mut self, _slot: usize) -> Result<(), DeviceError> {
        self.at_work = true;
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError> {
        if !std::mem::take(&mut self.at_work) {
            return Ok(Vec::new());
        }
        let blocks = *self.batches.lock().unwrap().last().expect("it was planned");
        let unload = || -> Unload { Box::new(|_, _: Stay| Ok(Outcome::Encoded(Vec::new()))) };
        let unloads = (0..blocks).map(|_| unload()).collect();
        Ok(vec![Arrival { slot: 0, unloads, spans: Vec::new() }])
    }

    fn wait(&mut self, _most: Option<Duration>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn park(self: Box<Self>) {}
}

struct Nobody;

impl<'a> Crew<'a> for Nobody {
    fn load(&self, _: Job<'a>, _: Load, _: Arc<Loading>) {
        panic!("there is nothing to load");
    }

    fn complete(&self, _: Job<'a>, _: Unload) {}

    fn stand_in(&self, _: Job<'a>, _: bool) {
        panic!("the device works");
    }

    fn spare(&self, _: &dyn Fn(&Job<'_>) -> bool) -> Option<Job<'a>> {
        None
    }

    fn has_all(&self) -> bool {
        true
    }
}

fn job(id: u64) -> Job<'static> {
    let part = crate::block::EncodePart {
        range: 0..MIB,
        coder: crate::block::Coder::Rans,
        table_log: None,
    };
    let (raw, payload) = (Arc::default(), Bytes::default());
    let work = Entropy::Encode { raw, parts: vec![part], segment_log: 14, payload };
    let class = accel::Class::First;
    Job { id, work, class, strict: true, in_place: false, rest: None }
}

/// The batches of a device that needs so many milliseconds for each and for a MiB.
fn batches(fixed: f64, of_a_mib: [f64; 16]) -> Vec<usize> {
    let device = Paced::default();
    let (seen, station) = (Arc::clone(&device.batches), Arc::new(Station::new(0, &device)));
    let desk = Desk::new(0, MIB as u32);
    let policy = Policy::new(2, &[DevicePrior::default()], &CpuPrior::default());
    desk.set_fleet(vec![Arc::clone(&station)], 2, policy);
    let mut recorder = Run::begin(None, "test").recorder(Row::Caller);
    for id in 0..300 {
        assert!(desk.hand_over(0, job(id), Asker::Caller, &mut recorder).is_ok());
    }
    let mut submission = Submission::new(Box::new(device), station);
    let mut now = 1;
    for of_a_mib in of_a_mib {
        submission.step(now, desk.fleet().unwrap(), &Nobody);
        let blocks = *seen.lock().unwrap().last().expect("the device is never idle");
        now += ((fixed + blocks as f64 * of_a_mib) * 1e6) as u64;
    }
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[test]
fn batches_grow_only_as_far_as_the_device_is_soon_done_with_one() {
    assert_eq!(batches(0.0, [0.1; 16])[..5], [2, 4, 8, 16, 16]);
    let ends = |fixed, of_a_mib| batches(fixed, of_a_mib)[14..].to_vec();
    let soon = ends(0.0, [4.0; 16]);
    assert!(soon.iter().all(|blocks| (4..=8).contains(blocks)), "of some 20 ms: {soon:?}");
    assert_eq!(ends(0.0, [100.0; 16]), [1; 2], "one is not too much for any");
    assert_eq!(ends(30.0, [0.1; 16]), [16; 2], "smaller ones would take as long");
    // One was slow: the device was made ready, or somebody else had it.
    let mut once = [0.1; 16];
    once[1] = 50.0;
    assert_eq!(ends(0.0, once)[1], 16);
}
