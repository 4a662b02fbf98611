//! The spans of the crate `tracing`, as a subscriber of an application sees them.

mod common;

use std::{
    collections::HashMap,
    fmt,
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use ranvil::{DeviceSelector, Options, Pipeline};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use common::ALICE;

/// What became of a span.
#[derive(Clone, Default, Debug)]
struct Seen {
    name: &'static str,
    parent: Option<u64>,
    fields: HashMap<&'static str, String>,
    entered: usize,
    exited: usize,
    closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Clone, Default)]
struct Witness {
    spans: Arc<Mutex<HashMap<u64, Seen>>>,
    next: Arc<AtomicU64>,
}

impl Witness {
    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        change(self.spans.lock().unwrap().get_mut(&id.into_u64()).expect("a span of ours"));
    }
}

impl Subscriber for Witness {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ranvil"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Relaxed) + 1;
        let mut seen = Seen {
            name: span.metadata().name(),
            parent: span.parent().map(Id::into_u64),
            ..Seen::default()
        };
        span.record(&mut seen);
        self.spans.lock().unwrap().insert(id, seen);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.change(span, |seen| seen.entered += 1);
    }

    fn exit(&self, span: &Id) {
        self.change(span, |seen| seen.exited += 1);
    }

    fn try_close(&self, span: Id) -> bool {
        // Ids are not cloned here: the only reference goes.
        self.change(&span, |seen| seen.closed = true);
        true
    }
}

#[test]
fn a_subscriber_sees_runs_and_the_stages_of_their_blocks() {
    const BLOCK: usize = 16 << 10;
    let witness = Witness::default();
    // Workers emit spans as well, so it has to be the process's subscriber.
    tracing::subscriber::set_global_default(witness.clone()).unwrap();
    let options = Options::new().device(DeviceSelector::Cpu).threads(2).pipeline(Pipeline::Lzseqr);
    let options = options.block_size(BLOCK).unwrap();
    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(ALICE).unwrap();
    let coded = compressor.finish().unwrap();
    assert_eq!(options.decompress(&coded).unwrap(), ALICE);

    let spans = witness.spans.lock().unwrap().clone();
    let runs: Vec<(u64, &Seen)> =
        spans.iter().filter(|(_, seen)| seen.name == "run").map(|(&id, seen)| (id, seen)).collect();
    let mut directions: Vec<&str> =
        runs.iter().map(|(_, run)| run.fields["what"].as_str()).collect();
    directions.sort();
    assert_eq!(directions, ["\"compress\"", "\"decompress\""]);
    for (id, run) in runs {
        assert!(run.closed, "{run:?}");
        let stages = spans.values().filter(|seen| seen.name == "stage" && seen.parent == Some(id));
        let stages: Vec<&Seen> = stages.collect();
        for stage in &stages {
            assert!(stage.entered == 1 && stage.exited == 1 && stage.closed, "{stage:?}");
        }
        let mut blocks: Vec<u64> =
            stages.iter().map(|stage| stage.fields["block"].parse().unwrap()).collect();
        blocks.sort();
        blocks.dedup();
        assert!(blocks.into_iter().eq(0..ALICE.len().div_ceil(BLOCK) as u64));
        let bytes = stages.iter().map(|stage| stage.fields["bytes"].parse::<usize>().unwrap());
        assert_eq!(bytes.sum::<usize>(), ALICE.len());
    }
}
