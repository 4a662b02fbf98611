#version 450
// Makes the coding table of each block for rans or fse: frequencies from counts, the table as written, and the encoder's
// entries. One workgroup a block; invocation t has the symbols 4 t to 4 t + 3. The arithmetic is coder::normalize's.

#extension GL_EXT_control_flow_attributes : require
#define SCAN_SIZE 64u
layout(local_size_x = 64) in;

#include "encode.glsl"
#include "scan.glsl"
#include "serialise.glsl"

layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Histograms { uint histograms[]; };
layout(std430, binding = 2) writeonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) writeonly buffer Tables { uint tables[]; };
// 512 words a block: of rans two for each symbol, see `entry`; of fse one, cum << 16 | f.
layout(std430, binding = 4) writeonly buffer Entries { uint entries[]; };

#include "counts.glsl"

// Turns of a bisection over 2^30 + 1 levels after two guesses, and a sum for each.
#define SEARCH_TURNS 33u
shared uint moved[SEARCH_TURNS];

// coder::normalize gives or takes slots one by one, where it gains most or costs least. The gains of a symbol's next slots
// fall and the costs rise, so the slots that it moves are the `missing` best of all, and a level to which they reach can be
// searched by bisection. Levels count from the best: a gain of at least LEVELS - level, or a cost of at most level.
#define LEVELS (1u << 30)

// Slots that a symbol with count h gains or loses down to a level, at most `missing`.
uint moves(uint h, uint f, bool grow, uint level, uint missing) {
    uint most;
    if (grow) {
        // floor(2048 h / (2 f + 1)) >= gain for f below this.
        uint end = level == LEVELS ? f + missing : ((h << 11) / (LEVELS - level) + 1u) / 2u;
        most = end - min(f, end);
    } else {
        // floor(2048 h / (2 f - 1)) <= cost for f from this on; a frequency stays at least 1.
        uint begin = max(((h << 11) / (level + 1u) + 3u) / 2u, 2u);
        most = f + 1u - min(f + 1u, begin);
    }
    return h > 0u ? min(most, missing) : 0u;
}

uint own_moves(uint h[4], uint f[4], bool grow, uint level, uint missing) {
    uint sum = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) sum += moves(h[i], f[i], grow, level, missing);
    return sum;
}

// Makes the frequencies add up to 2^K; `even` is the gain or cost of a slot if all symbols had frequencies that fit exactly.
void adjust(uint h[4], inout uint f[4], uint sum, uint target, uint even) {
    if (sum == target) return;
    bool grow = sum < target;
    uint missing = grow ? target - sum : sum - target;
    // The first level at which enough slots move.
    uint low = 0u;
    uint high = LEVELS;
    // Nearly always between these two: frequencies were rounded, so the next slot gains a little less, the last one costs a little more.
    uint guesses[2] = uint[2](grow ? LEVELS - even : even, grow ? LEVELS - even / 4u * 3u : even + even / 4u);
    for (uint turn = 0u; low < high; turn++) {
        uint middle = turn < 2u ? clamp(guesses[turn], low, high - 1u) : (low + high) / 2u;
        uint own = own_moves(h, f, grow, middle, missing);
        if (own > 0u) atomicAdd(moved[turn], own);
        barrier();
        if (moved[turn] >= missing) high = middle;
        else low = middle + 1u;
    }
    // All slots before that level move, and of the level itself those of the lowest symbols.
    uint before = low == 0u ? 0u : own_moves(h, f, grow, low - 1u, missing);
    uint all_before, unused;
    exclusive_sum(before, all_before);
    uint level = own_moves(h, f, grow, low, missing) - before;
    uint taken = exclusive_sum(level, unused);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint first = low == 0u ? 0u : moves(h[i], f[i], grow, low - 1u, missing);
        uint here = moves(h[i], f[i], grow, low, missing) - first;
        uint left = missing - all_before - min(taken, missing - all_before);
        uint change = first + min(here, left);
        taken += here;
        f[i] = grow ? f[i] + change : f[i] - change;
    }
}

// Division of a state x < 2^32 - 1 by f as umulhi(x + a, m) >> s, with s = floor(log2 f): either m = ceil(2^(32 + s) / f)
// and a = 0 or m = floor(2^(32 + s) / f) and a = 1 is exact, since their errors add up to f < 2^(s + 1) and an error of
// at most 2^s is harmless (Granlund and Montgomery 1994; Robison 2005). For f = 2^s, m = 2^32 - 1 and a = 1 is.
// Words of an entry: m, and f << 20 | cum << 8 | s << 4 | a.
uvec2 entry(uint f, uint cum) {
    uint s = uint(findMSB(f));
    if (f == 1u << s) return uvec2(~0u, f << 20 | cum << 8 | s << 4 | 1u);
    // 2^(32 + s) / f in two digits of 16 bits.
    uint high = (1u << s + 16u) / f;
    uint rest = (1u << s + 16u) % f;
    uint m = high << 16 | (rest << 16) / f;
    rest = (rest << 16) % f;
    bool up = f - rest <= 1u << s;
    return uvec2(up ? m + 1u : m, f << 20 | cum << 8 | s << 4 | (up ? 0u : 1u));
}

void main() {
    uint own = gl_LocalInvocationIndex;
    uint number = gl_WorkGroupID.x;
    EncodeBlock block = blocks[number];
    if (block.coder == CODER_HUFFMAN) return;
    if (own < SEARCH_TURNS) moved[own] = 0u;
    clear_table();

    uint h[4] = symbol_counts(block);
    uint size = block.raw_size;
    uint present = 0u;
    uint rare = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        present += h[i] > 0u ? 1u : 0u;
        rare += h[i] > 0u && h[i] << 11 < size ? 1u : 0u;
    }
    uint counts;
    exclusive_sum(present << 16 | rare, counts);
    if (counts >> 16 < 2u) {
        if (own == 0u) infos[number] = EncodeInfo(KIND_SINGLE, 0u, 0u);
        return;
    }
    // A slot for every symbol.
    uint least_log = uint(findMSB((counts >> 16) - 1u) + 1);
    uint table_log = (counts & 0xffffu) >= 24u ? 12u : 11u;
    if (block.coder == CODER_FSE) {
        table_log = clamp(uint(findMSB(size)), 7u, 13u) - 2u;
        table_log = max(table_log, least_log + 1u);
    }
    if (block.forced_log != 0u) table_log = block.forced_log;
    table_log = max(table_log, least_log);

    uint f[4];
    uint own_sum = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        // No overflow: no count is the whole block, at most 2^20.
        uint scaled = h[i] << table_log;
        f[i] = scaled / size + (2u * (scaled % size) >= size ? 1u : 0u);
        if (h[i] > 0u) f[i] = max(f[i], 1u);
        own_sum += f[i];
    }
    uint sum;
    exclusive_sum(own_sum, sum);
    adjust(h, f, sum, 1u << table_log, size << 10u >> table_log);

    uint cum = exclusive_sum(f[0] + f[1] + f[2] + f[3], sum);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint symbol = 4u * own + i;
        if (block.coder == CODER_FSE) {
            entries[512u * number + symbol] = cum << 16 | f[i];
        } else {
            uvec2 words = f[i] > 0u ? entry(f[i], cum) : uvec2(0u);
            entries[512u * number + 2u * symbol] = words.x;
            entries[512u * number + 2u * symbol + 1u] = words.y;
        }
        cum += f[i];
    }
    uint table_size = serialise(f, true);
    if (own == 0u) infos[number] = EncodeInfo(KIND_CODED, table_log, table_size);
    for (uint i = own; i < TABLE_WORDS; i += SCAN_SIZE) tables[TABLE_WORDS * number + i] = table[i];
}
