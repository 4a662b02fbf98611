//! The order of service, of what the engine sends.

use std::sync::Arc;

use super::*;
use crate::engine::accel::Class;

/// A block to be encoded, or its payload to be decoded.
fn block(engine: &mut Engine<'static>, pipeline: Pipeline, number: u64) -> Block<'static> {
    let mut buffers = engine.acquire().expect("buffers are free");
    let work = match engine.config.level {
        Some(level) => {
            buffers.raw = Bytes::Own(raw(number));
            Work::Encode { level, table_log: None }
        }
        None => {
            buffers.payload = Bytes::Own(payload(pipeline, number));
            let table_log = 11;
            Work::Decode { encoded: Encoded { kind: BlockKind::Coded, table_log }, raw_size: 4096 }
        }
    };
    Block { buffers, pipeline, segment_log: 12, work }
}

/// A block that nobody has worked on is sent first, and served behind one that a worker has prepared.
#[test]
fn what_a_worker_has_prepared_is_served_before_what_came_first() {
    for level in [Some(3), None] {
        let (fake, seen) = Fake::new(Trouble::Hold, 8, 1);
        let config = Config { pipeline: Pipeline::Lzr, level, ..CONFIG };
        let mut engine = Engine::new(&options(), strict(fake), config).unwrap();
        let desk = Arc::clone(&engine.pool.as_ref().unwrap().surroundings.desk);
        let channel = &desk.fleet().unwrap().stations[0].channel;
        let first = block(&mut engine, Pipeline::Rans, 0);
        engine.submit(first);
        let begun = seen.comes_to(|seen| seen.started.load(Relaxed) == 1);
        for (number, pipeline) in [(1, Pipeline::Rans), (2, Pipeline::Lzr)] {
            let before = channel.strict_bytes();
            let block = block(&mut engine, pipeline, number);
            engine.submit(block);
            assert!(seen.comes_to(|_| channel.strict_bytes() > before), "block {number}");
        }
        seen.released.store(true, Relaxed);
        for number in 0..3 {
            let block = engine.next(Wait::Block).unwrap().expect("a block is in flight");
            assert_eq!((block.id, block.side), (number, Side::Device(0)));
            engine.release(block.buffers);
        }
        let parts = seen.parts.lock().unwrap().clone();
        assert!(begun && parts.len() == 3, "{parts:?}");
        assert!(parts[1] > 1 && [parts[0], parts[2]] == [1, 1], "level {level:?}: {parts:?}");
    }
}

#[test]
fn streams_to_be_decoded_are_fused_and_those_made_by_a_model_are_later() {
    let mut coder = Coder::new(Simd::Scalar, true).unwrap();
    for (pipeline, level, class) in [
        (Pipeline::Lzr, Some(3), Class::Later),
        (Pipeline::Lzr, None, Class::Fused),
        (Pipeline::Rans, Some(3), Class::First),
        (Pipeline::Rans, None, Class::First),
    ] {
        let config = Config { pipeline: Pipeline::Lzr, level, ..CONFIG };
        let mut engine = Engine::new(&options(), Route::cpu(), config).unwrap();
        let block = block(&mut engine, pipeline, 0);
        let job = coder.prepare(0, block, true).expect("there is work for a device");
        assert_eq!(job.class, class, "{pipeline}, level {level:?}");
    }
}
