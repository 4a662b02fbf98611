//! A stand-in for the policy, until it is there.
#![allow(unused)]

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Cpu,
    Device(usize),
}
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    Accepted,
    Full,
    Disconnected,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hedge {
    Now,
    At(u64),
    Never,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind(pub u8);
#[derive(Clone, Default)]
pub(crate) struct DevicePrior;
#[derive(Clone, Default)]
pub(crate) struct CpuPrior;
pub(crate) struct Policy {
    waiting: Vec<Option<u64>>,
}
impl Policy {
    pub fn new(workers: usize, devices: &[DevicePrior], cpu: &CpuPrior) -> Self {
        Self { waiting: vec![Some(0); devices.len()] }
    }
    pub fn queued(&mut self, kind: Kind, bytes: u64) {}
    pub fn began(&mut self, worker: usize, now: u64, kind: Kind, bytes: u64, queued: bool) {}
    pub fn ended(&mut self, worker: usize, now: u64) {}
    pub fn sent(&mut self, device: usize, now: u64, bytes: u64, sent: Sent) {
        if let (Sent::Accepted, Some(waiting)) = (sent, &mut self.waiting[device]) {
            *waiting += bytes;
        }
    }
    pub fn withdrawn(&mut self, device: usize, bytes: u64) {}
    pub fn started(&mut self, device: usize, batch: u64, now: u64, bytes: u64) {}
    pub fn arrived(&mut self, device: usize, batch: u64, now: u64) {}
    pub fn failed(&mut self, device: usize) {
        self.waiting[device] = None;
    }
    pub fn choose(&mut self, now: u64, kind: Kind, bytes: u64) -> Place {
        self.fastest(now, bytes).map_or(Place::Cpu, Place::Device)
    }
    pub fn fastest(&self, now: u64, bytes: u64) -> Option<usize> {
        let waiting = self.waiting.iter().enumerate();
        waiting.filter_map(|(device, waiting)| Some((waiting.as_ref()?, device))).min().map(|(_, device)| device)
    }
    pub fn pulls(&mut self, device: usize, now: u64, kind: Kind, bytes: u64) -> bool {
        true
    }
    pub fn reclaims(&self, device: usize, now: u64, kind: Kind, bytes: u64) -> bool {
        true
    }
    pub fn hedges(&self, device: usize, batch: u64, now: u64, kind: Kind, bytes: u64, draining: bool) -> Hedge {
        if draining { Hedge::Now } else { Hedge::Never }
    }
}
