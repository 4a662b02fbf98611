#version 450
// Makes the code of each block for huff: lengths from counts, the table as written, and the encoder's entries. One workgroup
// a block; invocation t has the symbols 4 t to 4 t + 3. The lengths are coder::huffman's: package-merge, its lists merged
// in parallel.

#extension GL_EXT_control_flow_attributes : require
#define SCAN_SIZE 64u
layout(local_size_x = 64) in;

#include "encode.glsl"
#include "scan.glsl"
#include "serialise.glsl"
#include "canonical.glsl"

layout(std430, binding = 0) readonly buffer Blocks { EncodeBlock blocks[]; };
layout(std430, binding = 1) readonly buffer Histograms { uint histograms[]; };
layout(std430, binding = 2) writeonly buffer Infos { EncodeInfo infos[]; };
layout(std430, binding = 3) writeonly buffer Tables { uint tables[]; };
// 512 words a block, of which the first 256 are written: code << 8 | length, the code with its bits reversed.
layout(std430, binding = 4) writeonly buffer Entries { uint entries[]; };

#include "counts.glsl"

// The longest code when none is forced.
#define DEFAULT_LIMIT 11u

// The present symbols in ascending order, count << 8 | symbol; behind them, twice, room for sums of a list's pairs, sum << 8 | 0xff, which so
// come behind an item of the same count.
#define SUMS_SIZE 264u
shared uint nodes[256u + 2u * SUMS_SIZE];
// Of each list, how many items are among the entries that are taken.
shared uint items_taken[12];
shared uint lengths[256];
shared uint longest;

// The place of a sum in its half of `nodes`: the four that an invocation writes and those of its neighbours lie in different banks.
uint sum_place(uint i) { return i + i / 32u; }

// Fills nodes[] with the n present symbols, of which this invocation's first one has the number `rank`.
void sort_items(uint h[4], uint rank, uint n) {
    uint own = gl_LocalInvocationIndex;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if (h[i] > 0u) nodes[256u + rank++] = h[i] << 8 | 4u * own + i;
    }
    barrier();
    uint key[4];
    uint place[4];
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        key[k] = nodes[256u + own + SCAN_SIZE * k];
        place[k] = 0u;
    }
    for (uint other = 0u; other < n; other++) {
        uint less = nodes[256u + other];
        [[unroll]] for (uint k = 0u; k < 4u; k++) place[k] += uint(less < key[k]);
    }
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        if (own + SCAN_SIZE * k < n) nodes[place[k]] = key[k];
    }
    barrier();
}

// Merges the n items with the sums of the `pairs` pairs of a list, which are from `from` on in `nodes`. Each invocation makes eight entries of
// the new list: where they begin among items and sums is found by bisection (Odeh et al., "Merge Path", 2012). It writes the sums of its pairs from `to`
// on and returns which of the eight are items, a bit for each.
uint merge(uint n, uint pairs, uint from, uint to) {
    uint own = gl_LocalInvocationIndex;
    uint first = min(8u * own, n + pairs);
    uint least = first - min(first, pairs);
    uint most = min(first, n);
    while (least < most) {
        uint middle = (least + most) / 2u;
        if (nodes[middle] <= nodes[from + sum_place(first - 1u - middle)]) least = middle + 1u;
        else most = middle;
    }
    uint item_at = least;
    uint sum_at = first - least;
    uint item = item_at < n ? nodes[item_at] : ~0u;
    uint sum = sum_at < pairs ? nodes[from + sum_place(sum_at)] : ~0u;
    uint items = 0u;
    uint before = 0u;
    [[unroll]] for (uint k = 0u; k < 8u; k++) {
        bool is_item = item <= sum;
        uint entry = min(item, sum) >> 8;
        items |= uint(is_item) << k;
        if (k % 2u == 0u) before = entry;
        else nodes[to + sum_place(4u * own + k / 2u)] = before + entry << 8 | 0xffu;
        item_at += uint(is_item);
        sum_at += uint(!is_item);
        bool more = is_item ? item_at < n : sum_at < pairs;
        uint next = more ? nodes[is_item ? item_at : from + sum_place(sum_at)] : ~0u;
        item = is_item ? next : item;
        sum = is_item ? sum : next;
    }
    barrier();
    return items;
}

// How many of this invocation's eight entries of a list are among the first `taken`, and items.
uint own_items(uint items, uint taken) {
    uint count = taken - min(taken, 8u * gl_LocalInvocationIndex);
    return bitCount(items & (1u << min(count, 8u)) - 1u);
}

// Fills lengths[] with the lengths of the n items' codes, of at most `limit` bits.
void find_lengths(uint n, uint limit) {
    uint own = gl_LocalInvocationIndex;
    if (own < 12u) items_taken[own] = 0u;
    // What merge says of each list, 8 bits, the last list's lowest.
    uvec3 items = uvec3(0u);
    uint length = 0u;
    for (uint number = 0u; number < limit; number++) {
        uint from = 256u + (number & 1u) * SUMS_SIZE;
        uint to = 256u + (~number & 1u) * SUMS_SIZE;
        uint merged = merge(n, length / 2u, from, to);
        items = items << 8 | uvec3(merged, items.xy >> 24);
        length = n + length / 2u;
    }
    uint own_lengths[4] = uint[4](0u, 0u, 0u, 0u);
    uint taken = 2u * n - 2u;
    for (uint number = limit; number-- > 0u;) {
        uint count = own_items(items.x & 0xffu, taken);
        if (count > 0u) atomicAdd(items_taken[number], count);
        items = items >> 8 | uvec3(items.yz << 24, 0u);
        barrier();
        uint taken_items = items_taken[number];
        [[unroll]] for (uint i = 0u; i < 4u; i++) own_lengths[i] += uint(own + SCAN_SIZE * i < taken_items);
        taken = 2u * (taken - taken_items);
    }
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        if (own + SCAN_SIZE * i < n) lengths[nodes[own + SCAN_SIZE * i] & 0xffu] = own_lengths[i];
    }
    // The first item's is the longest.
    if (own == 0u) longest = own_lengths[0];
    barrier();
}

void main() {
    uint own = gl_LocalInvocationIndex;
    uint number = gl_WorkGroupID.x;
    EncodeBlock block = blocks[number];
    if (block.coder != CODER_HUFFMAN) return;
    clear_table();

    uint h[4] = symbol_counts(block);
    uint present = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) present |= uint(h[i] > 0u) << i;
    uint symbols;
    uint rank = exclusive_sum(bitCount(present), symbols);
    if (symbols < 2u) {
        if (own == 0u) infos[number] = EncodeInfo(KIND_SINGLE, 0u, 0u);
        return;
    }
    sort_items(h, rank, symbols);
    uint limit = block.forced_log != 0u ? block.forced_log : DEFAULT_LIMIT;
    // A code for every symbol.
    find_lengths(symbols, max(limit, uint(findMSB(symbols - 1u) + 1)));

    uint table_log = longest;
    uint class_of[4];
    uint f[4];
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        bool real = (present >> i & 1u) != 0u;
        class_of[i] = real ? table_log - lengths[4u * own + i] : 0u;
        f[i] = real ? 1u << class_of[i] : 0u;
    }
    bool has_longest;
    Code codes[4] = canonical(present, class_of, has_longest);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        uint code = bitfieldReverse(codes[i].slot << 32u - table_log);
        entries[512u * number + 4u * own + i] = f[i] > 0u ? code << 8 | lengths[4u * own + i] : 0u;
    }
    uint table_size = serialise(f, false);
    if (own == 0u) infos[number] = EncodeInfo(KIND_CODED, table_log, table_size);
    for (uint i = own; i < TABLE_WORDS; i += SCAN_SIZE) tables[TABLE_WORDS * number + i] = table[i];
}
