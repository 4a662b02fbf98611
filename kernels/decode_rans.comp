#version 450
// Decodes blocks coded with rans.

#define CODER CODER_RANS
#define STATE uint
#include "decoding.glsl"
#include "plain_state.glsl"

// Entries: f << 20 | (slot - cum) << 8 | symbol.
void fill_table() {
    for (uint slot = gl_LocalInvocationIndex; slot < 1u << table_log; slot += gl_WorkGroupSize.x) {
        uint symbol = find_slot(slot);
        uint cum_f = cums[symbol];
        table[slot] = cum_f << 20 | (slot - (cum_f >> 16)) << 8 | symbol;
    }
}

uint look_up(uint x) { return table[x & ((1u << table_log) - 1u)]; }

bool take_symbol(inout uint x, uint entry) {
    x = (entry >> 20) * (x >> table_log) + (entry >> 8 & 0xfffu);
    return x < 0x10000u;
}
