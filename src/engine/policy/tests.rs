use super::*;

const BLOCK: u64 = 1 << 18;
/// What the CPU needs for a block.
const COST: u64 = 1000;

/// A policy whose workers need [`COST`] for a block, at the time `2 * COST`.
fn warm(workers: usize, devices: &[DevicePrior]) -> Policy {
    let mut policy = Policy::new(workers, devices, &CpuPrior::default());
    for worker in 0..workers {
        policy.began(worker, COST, WHOLE, BLOCK, false);
        policy.ended(worker, 2 * COST);
    }
    policy
}

/// A device that needs so long for a block, without latency.
fn device(block: u64) -> DevicePrior {
    let mut prior = DevicePrior::default();
    for blocks in [1, 8, 2, 16, 4] {
        prior.learn(false, blocks * BLOCK, blocks * block);
        prior.learn(true, blocks * BLOCK, blocks * block);
    }
    prior
}

const NOW: u64 = 2 * COST;

#[test]
fn a_block_goes_where_it_is_finished_first() {
    let mut policy = warm(2, &[device(600), device(2000)]);
    // The second block would be finished there at 1200, later than by an idle worker.
    let mut places = Vec::new();
    for _ in 0..6 {
        let place = policy.choose(NOW, WHOLE, BLOCK);
        match place {
            Place::Cpu => policy.queued(WHOLE, BLOCK),
            Place::Device(device) => {
                policy.offered(device, BLOCK);
                policy.sent(device, NOW, BLOCK, Sent::Accepted);
            }
        }
        places.push(place);
    }
    let [first, cpu] = [Place::Device(0), Place::Cpu];
    assert_eq!(places, [first, cpu, cpu, first, first, cpu]);
}

#[test]
fn a_cold_device_gets_a_probe_of_blocks_that_wait_anyway_and_no_more() {
    let mut policy = warm(2, &[DevicePrior::default()]);
    for worker in 0..2 {
        assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Cpu, "a worker is idle");
        policy.began(worker, NOW, WHOLE, BLOCK, false);
    }
    for _ in 0..2 {
        assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Device(0));
        policy.offered(0, BLOCK);
        policy.sent(0, NOW, BLOCK, Sent::Accepted);
    }
    policy.started(0, 0, NOW, 2 * BLOCK);
    for _ in 0..100 {
        assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Cpu, "it has not come back");
        policy.queued(WHOLE, BLOCK);
        assert!(!policy.pulls(0, NOW, WHOLE, BLOCK));
    }
    policy.arrived(0, 0, NOW + 100);
    assert!(policy.pulls(0, NOW + 100, WHOLE, BLOCK));
    assert_eq!(policy.choose(NOW + 100, WHOLE, BLOCK), Place::Device(0));
}

#[test]
fn where_nothing_is_known_the_cpu_comes_first() {
    let mut policy = Policy::new(2, &[device(1)], &CpuPrior::default());
    assert_eq!(policy.choose(0, WHOLE, BLOCK), Place::Cpu);
}

#[test]
fn pressure_sends_blocks_to_the_cpu_and_lets_them_return() {
    let mut policy = warm(2, &[device(100)]);
    assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Device(0));
    for refused in 0..1000 {
        let place = policy.choose(NOW, WHOLE, BLOCK);
        assert_eq!(place == Place::Cpu, refused >= 3, "after {refused} refusals");
        policy.offered(0, BLOCK);
        policy.sent(0, NOW, BLOCK, Sent::Full);
    }
    assert_eq!(policy.fastest(NOW, BLOCK), Some(0), "a strict block is not concerned");
    // A block's time on the CPU is the longer service time.
    assert_eq!(policy.choose(NOW + COST / 2, WHOLE, BLOCK), Place::Cpu);
    assert_eq!(policy.choose(NOW + COST + COST / 100, WHOLE, BLOCK), Place::Device(0));
}

#[test]
fn a_device_that_leaves_the_workers_as_much_to_do_gets_nothing() {
    let mut policy = warm(1, &[device(1)]);
    policy.began(0, NOW, BEHIND, BLOCK, false);
    policy.ended(0, NOW + COST);
    assert_eq!(policy.choose(NOW + COST, WHOLE, BLOCK), Place::Cpu);
}

#[test]
fn a_failed_device_is_never_chosen_again() {
    let mut policy = warm(1, &[device(1), device(10)]);
    assert_eq!(policy.fastest(NOW, BLOCK), Some(0));
    policy.failed(0);
    assert_eq!(policy.fastest(NOW, BLOCK), Some(1));
    assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Device(1));
    policy.failed(1);
    assert_eq!(policy.fastest(NOW, BLOCK), None);
    assert_eq!(policy.choose(NOW, WHOLE, BLOCK), Place::Cpu);
    assert!(!policy.pulls(1, NOW, WHOLE, BLOCK));
    assert_eq!(policy.priors().0, [DevicePrior::default(); 2]);
}

#[test]
fn an_idle_worker_takes_back_what_it_does_before_the_device_would() {
    let mut policy = warm(1, &[device(600)]);
    policy.offered(0, BLOCK);
    policy.sent(0, NOW, BLOCK, Sent::Accepted);
    assert!(!policy.reclaims(0, NOW, WHOLE, BLOCK));
    policy.offered(0, BLOCK);
    policy.sent(0, NOW, BLOCK, Sent::Accepted);
    assert!(policy.reclaims(0, NOW, WHOLE, BLOCK));
}

#[test]
fn a_batch_is_backed_up_when_it_is_late_or_an_idle_worker_is_sooner() {
    let mut policy = warm(1, &[device(600)]);
    let hedges = |policy: &Policy, now, draining| policy.hedges(0, 7, now, WHOLE, BLOCK, draining);
    assert_eq!(hedges(&policy, NOW, true), Hedge::Never, "it is not in flight");
    policy.offered(0, BLOCK);
    policy.sent(0, NOW, BLOCK, Sent::Accepted);
    policy.started(0, 7, NOW, BLOCK);
    // A run of two blocks' time cannot bear to wait for it.
    assert_eq!(hedges(&policy, NOW, true), Hedge::Now);
    let Hedge::At(time) = hedges(&policy, NOW, false) else { panic!("other blocks wait") };
    assert!((850..1000).contains(&(time - NOW)), "late after one and a half times 600: {time}");
    assert_eq!(policy.late_at(0, NOW).map(|at| at.abs_diff(time) <= 1), Some(true));
    assert_eq!(hedges(&policy, time, false), Hedge::Now);

    // A long one can.
    let late = NOW + 200 * COST;
    policy.arrived(0, 7, NOW + 600);
    policy.offered(0, BLOCK);
    policy.sent(0, late, BLOCK, Sent::Accepted);
    policy.started(0, 7, late, BLOCK);
    assert!(matches!(hedges(&policy, late, true), Hedge::At(at) if at > late));
}

/// Gives the first device a batch.
fn start(policy: &mut Policy, batch: u64, now: u64, blocks: u64) {
    (0..blocks).for_each(|_| policy.offered(0, BLOCK));
    policy.started(0, batch, now, blocks * BLOCK);
}

#[test]
fn an_idle_worker_waits_for_a_device_that_has_done_enough_already() {
    // Two blocks in 1200, for which the worker would have needed 2000.
    for (backed_up, bears) in [(0, true), (1, false)] {
        let mut policy = warm(1, &[device(600)]);
        start(&mut policy, 0, NOW, 2);
        policy.backed_up(0, 0, backed_up * BLOCK);
        policy.arrived(0, 0, NOW + 1200);
        let now = NOW + 1200;
        start(&mut policy, 1, now, 1);
        let hedges = |now| policy.hedges(0, 1, now, WHOLE, BLOCK, true);
        let Hedge::At(time) = hedges(now) else {
            assert!(!bears, "it is 800 ahead");
            continue;
        };
        assert!(bears, "what it did itself does not count");
        assert!((550..650).contains(&(time - now)), "when it should be there: {time}");
        assert!(matches!(hedges(time), Hedge::At(_)), "it may come any moment");
        assert_eq!(hedges(now + 800), Hedge::Now, "nothing is left, though it is not late");
    }
}

#[test]
fn an_idle_worker_waits_for_a_device_while_another_one_has_more_to_do() {
    let mut policy = warm(2, &[device(300)]);
    start(&mut policy, 0, NOW, 2);
    assert_eq!(policy.hedges(0, 0, NOW, WHOLE, BLOCK, true), Hedge::Now);
    // If the device stalls, the other one will do the second of its blocks after its own.
    policy.began(0, NOW, WHOLE, BLOCK, false);
    assert!(matches!(policy.hedges(0, 0, NOW, WHOLE, BLOCK, true), Hedge::At(_)));
    policy.backed_up(0, 0, BLOCK);
    assert_eq!(policy.hedges(0, 0, NOW, WHOLE, BLOCK, true), Hedge::Now);
}

#[test]
fn a_first_batch_that_was_late_is_corrected_by_those_that_wait_for_others() {
    let latency = |policy: &Policy| policy.priors().0[0].service().unwrap().latency;
    let mut policy = warm(1, &[DevicePrior::default()]);
    start(&mut policy, 0, NOW, 1);
    policy.arrived(0, 0, NOW + 40_000);
    let mut now = NOW + 40_000;
    start(&mut policy, 1, now, 8);
    for batch in 2..10 {
        start(&mut policy, batch, now + 10, 8);
        now += 800;
        policy.arrived(0, batch - 1, now);
    }
    assert!(latency(&policy) < 4000.0, "none was away for longer than 1600: {}", latency(&policy));
}

#[test]
fn what_workers_do_for_a_device_the_cpu_alone_would_not_have_to_do() {
    let mut crew = Crew::new(1, &CpuPrior::default());
    for (kind, alone) in [(ENTROPY, 1000.0), (BEHIND, 1000.0), (LOAD, 1000.0), (WHOLE, 2000.0)] {
        crew.begin(0, NOW, kind, BLOCK);
        crew.end(0, NOW + 1000);
        assert_eq!(crew.alone(NOW + 1000, 0.0), alone, "after {kind:?}");
    }
}

#[test]
fn of_many_workers_an_idle_one_counts_also_if_it_is_not_looked_at() {
    let mut policy = warm(128, &[]);
    for worker in (0..128).filter(|&worker| worker != 1) {
        policy.began(worker, NOW, WHOLE, BLOCK, false);
    }
    let [now, later] = [0.0, 500.0].map(|idle| policy.crew.finish_after(NOW, 1000.0, 0.0, idle));
    assert!(now <= 1000.0 && later >= 1500.0, "{now} and {later}");
}

#[test]
fn a_device_that_stalls_recedes_and_is_remembered() {
    let mut policy = warm(1, &[device(100)]);
    policy.offered(0, BLOCK);
    policy.sent(0, NOW, BLOCK, Sent::Accepted);
    policy.started(0, 0, NOW, BLOCK);
    let later = NOW + 1_000_000;
    assert_eq!(policy.choose(later, WHOLE, BLOCK), Place::Cpu);
    let mut next = Policy::new(1, &policy.priors().0, &policy.priors().1);
    assert_eq!(next.choose(0, WHOLE, BLOCK), Place::Cpu, "the next run knows");
}

#[test]
fn strict_blocks_try_every_device_and_then_the_fastest() {
    let mut policy = warm(1, &[DevicePrior::default(), device(100), DevicePrior::default()]);
    let mut chosen = [0; 3];
    for _ in 0..20 {
        let device = policy.fastest(NOW, BLOCK).unwrap();
        policy.offered(device, BLOCK);
        policy.sent(device, NOW, BLOCK, Sent::Accepted);
        chosen[device] += 1;
    }
    assert_eq!(chosen, [2, 16, 2]);
}

#[test]
fn calls_in_any_order_do_not_panic() {
    let mut policy = Policy::new(0, &[device(0), DevicePrior::default()], &CpuPrior::default());
    for (step, now) in [5, 3, u64::MAX, 0, 7].into_iter().cycle().take(100).enumerate() {
        let (device, bytes) = (step % 2, [0, BLOCK, u64::MAX >> 8][step % 3]);
        let kind = Kind(step as u8);
        policy.arrived(device, 99, now);
        policy.loaded(device, 99, now);
        policy.withdrawn(device, bytes);
        policy.ended(step, now);
        policy.began(step % 3, now, kind, bytes, true);
        policy.offered(device, bytes);
        policy.sent(device, now, bytes, Sent::Accepted);
        policy.choose(now, kind, bytes);
        policy.fastest(now, bytes);
        policy.pulls(device, now, kind, bytes);
        policy.started(device, step as u64, now, bytes);
        policy.reclaims(device, now, kind, bytes);
        policy.hedges(device, step as u64, now, kind, bytes, step % 2 == 0);
        policy.late_at(device, now);
        policy.arrived(device, step as u64 / 2, now);
        policy.priors();
    }
}

#[test]
fn nothing_is_learnt_from_a_task_that_panicked() {
    let mut policy = warm(1, &[]);
    let before = policy.priors().1;
    policy.began(0, NOW, WHOLE, BLOCK, false);
    policy.abandoned(0);
    policy.began(0, 1000 * NOW, WHOLE, BLOCK, false);
    assert_eq!(policy.priors().1, before);
    policy.ended(0, 1000 * NOW + COST);
    assert_eq!(policy.crew.cost(WHOLE, BLOCK), Some(COST as f64));
}

#[test]
fn strict_blocks_are_spread_where_only_batches_cost() {
    let mut constant = DevicePrior::default();
    for blocks in [1, 8, 2, 16, 4] {
        constant.learn(false, blocks * BLOCK, 1_000_000);
        constant.learn(true, blocks * BLOCK, 1_000_000);
    }
    let mut policy = warm(2, &[constant; 3]);
    let places: Vec<_> = (0..6)
        .map(|_| {
            let device = policy.fastest(NOW, BLOCK).unwrap();
            policy.offered(device, BLOCK);
            policy.sent(device, NOW, BLOCK, Sent::Accepted);
            device
        })
        .collect();
    assert_eq!(places, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn nothing_is_learnt_from_batches_that_waited_for_memory() {
    let mut policy = warm(2, &[device(600)]);
    let known = policy.priors().0;
    policy.offered(0, BLOCK);
    policy.sent(0, NOW, BLOCK, Sent::Accepted);
    policy.started(0, 0, NOW, BLOCK);
    policy.disturbed(0);
    policy.arrived(0, 0, 1000 * NOW);
    assert_eq!(policy.priors().0, known);
    policy.started(0, 1, 2000 * NOW, BLOCK);
    policy.arrived(0, 1, 2000 * NOW + 600);
    assert_ne!(policy.priors().0, known, "the next one counts");
}

#[test]
fn a_device_that_reads_input_where_it_is_costs_no_copies() {
    let mut policy = warm(1, &[device(600)]);
    for kind in [LOAD, WHOLE] {
        policy.began(0, NOW, kind, BLOCK, false);
        policy.ended(0, NOW + COST);
    }
    let wants = |policy: &mut Policy| {
        policy.queued(WHOLE, 100 * BLOCK);
        policy.wants(0, NOW + COST, WHOLE, BLOCK)
    };
    assert!(!wants(&mut policy), "a worker would have as much to do");
    (0..64).for_each(|_| policy.reached(BLOCK));
    assert!(wants(&mut policy));
}

#[test]
fn a_single_measurement_is_soon_forgotten_and_a_batch_that_waits_for_memory_at_once() {
    let arrive = |policy: &mut Policy, batch: u64, now: u64| {
        policy.offered(0, BLOCK);
        policy.sent(0, now, BLOCK, Sent::Accepted);
        policy.started(0, batch, now, BLOCK);
        policy.arrived(0, batch, now + 600);
    };
    let mut policy = warm(1, &[DevicePrior::default()]);
    arrive(&mut policy, 0, NOW);
    let once = policy.priors().0[0].aged();
    assert!(once.service().is_some() && once.aged().service().is_none(), "for the next run");
    arrive(&mut policy, 1, 2 * NOW);
    let known = policy.priors().0;
    assert!(known[0].service().is_some());
    policy.started(0, 2, 3 * NOW, BLOCK);
    policy.disturbed(0);
    policy.see(1_000_000 * NOW);
    assert_eq!(policy.priors().0, known, "it will not take as long again");
}

#[test]
fn a_device_whose_probe_had_to_wait_for_memory_is_probed_again() {
    let mut policy = warm(1, &[DevicePrior::default()]);
    policy.began(0, NOW, WHOLE, BLOCK, false);
    for round in 0..3 {
        let now = NOW + round;
        for batch in 0..2 {
            assert_eq!(policy.choose(now, WHOLE, BLOCK), Place::Device(0));
            policy.offered(0, BLOCK);
            policy.sent(0, now, BLOCK, Sent::Accepted);
            policy.started(0, 2 * round + batch, now, BLOCK);
        }
        assert_eq!(policy.choose(now, WHOLE, BLOCK), Place::Cpu);
        policy.disturbed(0);
        (0..2).for_each(|batch| policy.arrived(0, 2 * round + batch, now + 1));
    }
    assert!(policy.priors().0[0].service().is_some(), "for the next run it is better than nothing");
}
