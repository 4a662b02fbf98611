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

// The present symbols in ascending order, count << 8 | symbol.
shared uint items[256];
// The list in work, sums of the last list's pairs, and which places of each list have an item, a bit for each list.
shared uint list[512];
shared uint sums[256];
shared uint is_item[512];
// Of each list, how many items are among the entries that are taken.
shared uint items_taken[32];
shared uint lengths[256];
shared uint longest;

// Fills items[]; absent symbols follow the present ones.
void sort_items(uint h[4]) {
    uint first = 4u * gl_LocalInvocationIndex;
    uint key[4];
    uint place[4];
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        key[i] = (h[i] > 0u ? h[i] : 0xffffffu) << 8 | first + i;
        place[i] = 0u;
        sums[first + i] = key[i];
    }
    barrier();
    for (uint other = 0u; other < 256u; other++) {
        [[unroll]] for (uint i = 0u; i < 4u; i++) place[i] += uint(sums[other] < key[i]);
    }
    [[unroll]] for (uint i = 0u; i < 4u; i++) items[place[i]] = key[i];
    barrier();
}

// Merges the n items with the sums of the pairs of a list of `length` entries; returns the new length.
uint merge(uint number, uint n, uint length) {
    uint own = gl_LocalInvocationIndex;
    uint pairs = length / 2u;
    for (uint i = own; i < pairs; i += SCAN_SIZE) sums[i] = list[2u * i] + list[2u * i + 1u];
    barrier();
    // An entry's place is its number and how many of the others come before it: of sums those that are less than an item,
    // of items those that are not more than a sum. A search is nine loads that wait for each other: all eight at once.
    uvec4 item, sum;
    uvec4 sums_before = uvec4(0u);
    uvec4 items_before = uvec4(0u);
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        item[k] = items[own + SCAN_SIZE * k] >> 8;
        sum[k] = sums[own + SCAN_SIZE * k];
    }
    for (uint step = 256u; step > 0u; step /= 2u) {
        [[unroll]] for (uint k = 0u; k < 4u; k++) {
            uint at = sums_before[k] + step;
            uint other = sums[min(at, 256u) - 1u];
            sums_before[k] = at <= pairs && other < item[k] ? at : sums_before[k];
            at = items_before[k] + step;
            other = items[min(at, 256u) - 1u] >> 8;
            items_before[k] = at <= n && other <= sum[k] ? at : items_before[k];
        }
    }
    [[unroll]] for (uint k = 0u; k < 4u; k++) {
        uint i = own + SCAN_SIZE * k;
        if (i < n) {
            list[i + sums_before[k]] = item[k];
            is_item[i + sums_before[k]] |= 1u << number;
        }
        if (i < pairs) list[i + items_before[k]] = sum[k];
    }
    barrier();
    return n + pairs;
}

// How many of the first `taken` entries of a list are items. Once for each list.
uint items_among(uint number, uint taken) {
    uint count = 0u;
    for (uint i = gl_LocalInvocationIndex; i < taken; i += SCAN_SIZE) count += is_item[i] >> number & 1u;
    if (count > 0u) atomicAdd(items_taken[number], count);
    barrier();
    return items_taken[number];
}

// Fills lengths[] with the lengths of the n items' codes, of at most `limit` bits.
void find_lengths(uint n, uint limit) {
    uint own = gl_LocalInvocationIndex;
    for (uint i = own; i < 512u; i += SCAN_SIZE) is_item[i] = 0u;
    if (own < 32u) items_taken[own] = 0u;
    barrier();
    uint length = 0u;
    for (uint number = 0u; number < limit; number++) length = merge(number, n, length);
    uint own_lengths[4] = uint[4](0u, 0u, 0u, 0u);
    uint taken = 2u * n - 2u;
    for (uint number = limit; number-- > 0u;) {
        uint taken_items = items_among(number, taken);
        [[unroll]] for (uint i = 0u; i < 4u; i++) own_lengths[i] += uint(own + SCAN_SIZE * i < taken_items);
        taken = 2u * (taken - taken_items);
    }
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        lengths[items[own + SCAN_SIZE * i] & 0xffu] = own_lengths[i];
        atomicMax(longest, own_lengths[i]);
    }
    barrier();
}

void main() {
    uint own = gl_LocalInvocationIndex;
    uint number = gl_WorkGroupID.x;
    EncodeBlock block = blocks[number];
    if (block.coder != CODER_HUFFMAN) return;
    clear_table();
    if (own == 0u) longest = 0u;

    uint h[4] = symbol_counts(block);
    uint present = 0u;
    [[unroll]] for (uint i = 0u; i < 4u; i++) present |= uint(h[i] > 0u) << i;
    uint symbols;
    exclusive_sum(bitCount(present), symbols);
    if (symbols < 2u) {
        if (own == 0u) infos[number] = EncodeInfo(KIND_SINGLE, 0u, 0u);
        return;
    }
    sort_items(h);
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
