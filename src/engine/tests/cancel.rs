//! Cancellation, seen by who would begin a block.

use std::sync::Arc;

use super::*;
use crate::{
    CancelToken,
    engine::{desk::Desk, task::Worker},
    sched::Task,
};

#[test]
fn a_block_is_not_begun_once_all_is_cancelled() {
    let token = CancelToken::new();
    let mut engine = Engine::new(&options(), Route::cpu(), CONFIG).unwrap();
    let mut worker = Worker {
        coder: Coder::new(Simd::Scalar, true).unwrap(),
        desk: Arc::new(Desk::new(0, 4096)),
        purpose: engine.purpose,
        cancel: Some(token.clone()),
    };
    for cancelled in [false, true] {
        let buffers = Buffers { raw: Bytes::Own(raw(0)), ..Buffers::default() };
        let work = Work::Encode { level: 3, table_log: None };
        let block = Block { buffers, pipeline: Pipeline::Rans, segment_log: 12, work };
        let done = BlockTask::All(0, block).run(0, &mut worker, &mut engine.recorder);
        assert_eq!(done.is_none(), cancelled);
        token.cancel();
    }
}
