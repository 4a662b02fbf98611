// Which symbol has a slot, by the runs of slots that parse.comp found. The includer has tables[], and RUNS words of scratch[].

// A copy of the block's part of tables[], since each load of a search waits for the last. Later it is something else.
#define CUMS(i) scratch[i]

// Called in uniform control flow, with a barrier after it.
void load_runs() {
    for (uint i = gl_LocalInvocationIndex; i < RUNS; i += gl_WorkGroupSize.x) scratch[i] = tables[RUNS * gl_WorkGroupID.x + i];
}

#include "slots.glsl"

// The slots of a symbol, from `first` to before `end`.
struct Run {
    uint number, first, end, symbol;
};

// `number` is at most 255. (The slots behind the last, which tables of fewer than four have, are of the runs behind it: empty ones.)
Run run(uint number) {
    uint word = CUMS(number);
    return Run(number, word >> 16, CUMS(number + 1u) >> 16, word & 0xffu);
}

// The run of a slot, and of the slot behind one that has `before`: a search is eight loads, each of which waits for the last.
Run run_of(uint slot) { return run(find_slot(slot)); }
Run run_of(uint slot, Run before) {
    if (slot < before.end) return before;
    return run(before.number + 1u);
}
