// softmax(scale * query keys^T) values for many queries of a prompt at a time: the positions of a prefix, each over
// those up to its own, or over the text. What it must equal: `amt.ops.reference.attention`.
//
// One block of four warps for (block of queries, head, segment). It goes along the keys, a tile at a time, from a place
// that does not depend on the block, with a softmax that goes on from tile to tile. What a query must not see adds
// exactly nothing. So its bits depend neither on the queries beside it nor on the passes in which a prefix is read.
//
// bfloat16: 64 queries and tiles of 64 keys, by matrix instructions; a warp has 16 queries, and weights are rounded to
// bfloat16 before the second product. float32: 16 queries and tiles of 32 keys, by multiply-adds; eight lanes side by
// side share a query.
//
// Source: Dao 2023, "FlashAttention-2", arXiv:2307.08691.
#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128;

// What a block is to do: its queries, and the keys that any of them may see.
struct Work {
  Segment segment;
  int first_query, num_queries;  // of the segment
  int first_key, end_key;
  int64_t keys_start;  // of the memory, in numbers
  const uint8_t* mask;
  const float* bias;  // of the head
  bool is_causal;

  // Whether a query of the segment sees a position, which is one that the block may see.
  __device__ __forceinline__ bool sees(const PrefixAttention& call, int query, int position) const {
    if (!is_causal) return true;
    const int own = segment.first_position + query;
    return position <= own && (call.window == 0 || position > own - call.window);
  }
  // In powers of 2.
  __device__ __forceinline__ float bias_of(const PrefixAttention& call, int query, int position) const {
    return bias == nullptr ? 0.0f : bias[call.bias_len - 1 - segment.first_position - query + position] * kLog2E;
  }
  __device__ __forceinline__ bool is_seen_by_some(int position) const {
    return position >= first_key && position < end_key && (mask == nullptr || mask[position] != 0);
  }
  // A key, or value; position: one that some query sees.
  __device__ __forceinline__ int64_t place(const PrefixAttention& call, int position) const {
    return keys_start + static_cast<int64_t>(position) * call.num_slots * call.head_dim;
  }
};

__device__ __forceinline__ Work work_of(const PrefixAttention& call, int queries_of_block) {
  const int head = static_cast<int>(blockIdx.y);
  Work work{};
  work.segment = call.segments[blockIdx.z];
  work.first_query = static_cast<int>(blockIdx.x) * queries_of_block;
  work.num_queries = min(work.segment.num_positions - work.first_query, queries_of_block);
  const int prompt = work.segment.prompt, first = work.segment.first_position + work.first_query;
  const int64_t memory = call.memories == nullptr ? prompt : call.memories[prompt];
  work.is_causal = call.lengths == nullptr;
  work.first_key = work.is_causal && call.window > 0 ? max(0, first + 1 - call.window) : 0;
  work.end_key = work.is_causal ? first + work.num_queries : call.lengths[prompt];
  work.keys_start = (memory * call.num_heads + head) * call.capacity * call.num_slots * call.head_dim;
  work.mask = call.mask == nullptr ? nullptr : call.mask + memory * call.capacity;
  work.bias = call.bias == nullptr ? nullptr : call.bias + static_cast<int64_t>(head) * call.bias_len;
  return work;
}

constexpr int kWarpQueries = 16, kBfloatQueries = 64, kBfloatKeys = 64;

template <int kHeadDim>
struct alignas(16) BfloatShared {
  Bfloat keys[kBfloatKeys][kHeadDim + 8];          // neighbouring rows lie in different banks
  uint32_t values[kHeadDim][kBfloatKeys / 2 + 4];  // turned: pairs of neighbouring keys
  uint8_t is_seen[kBfloatKeys];                    // by some query

  __device__ __forceinline__ void load(const PrefixAttention& call, const Work& work, int start) {
    const auto* keys_from = static_cast<const Bfloat*>(call.keys);
    const auto* values_from = static_cast<const Bfloat*>(call.values);
    constexpr int kEights = kHeadDim / 8;
    for (int item = static_cast<int>(threadIdx.x); item < kBfloatKeys * kEights; item += kThreads) {
      const int key = item / kEights, dim = item % kEights * 8;
      uint4 eight{0, 0, 0, 0};
      if (work.is_seen_by_some(start + key)) {
        eight = *reinterpret_cast<const uint4*>(keys_from + work.place(call, start + key) + dim);
      }
      *reinterpret_cast<uint4*>(&keys[key][dim]) = eight;
    }
    for (int item = static_cast<int>(threadIdx.x); item < kBfloatKeys / 2 * kEights; item += kThreads) {
      const int pair = item % (kBfloatKeys / 2), dim = item / (kBfloatKeys / 2) * 8;
      uint4 both[2] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int position = start + 2 * pair + i;
        if (!work.is_seen_by_some(position)) continue;
        both[i] = *reinterpret_cast<const uint4*>(values_from + work.place(call, position) + dim);
      }
      const uint32_t first[4] = {both[0].x, both[0].y, both[0].z, both[0].w};
      const uint32_t second[4] = {both[1].x, both[1].y, both[1].z, both[1].w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[dim + 2 * i][pair] = (first[i] & 0xFFFFu) | second[i] << 16;
        values[dim + 2 * i + 1][pair] = first[i] >> 16 | (second[i] & 0xFFFF0000u);
      }
    }
    const int key = static_cast<int>(threadIdx.x);
    if (key < kBfloatKeys) is_seen[key] = work.is_seen_by_some(start + key) ? 1 : 0;
  }
};

static_assert(sizeof(BfloatShared<128>) == 35904, "resources.py says so");

__device__ __forceinline__ float max_of_four(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) prefix_attention_bfloat16_kernel(PrefixAttention call) {
  AMT_SHARED(BfloatShared<kHeadDim>, shared);
  const Work work = work_of(call, kBfloatQueries);
  if (work.num_queries <= 0) return;  // the whole block
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int group = lane / 4, quarter = lane % 4;  // a lane has parts of two queries
  const int queries[2] = {work.first_query + warp * kWarpQueries + group,
                          work.first_query + warp * kWarpQueries + group + 8};
  const int last_query = work.segment.num_positions - 1;
  const int64_t head_place = static_cast<int64_t>(blockIdx.y) * kHeadDim;
  constexpr int kSteps = kHeadDim / 16, kOuts = kHeadDim / 8, kScores = kBfloatKeys / 8;

  uint32_t query[kSteps][4];
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const int64_t row = work.segment.first_row + min(queries[part], last_query);
    const float* from = call.query + row * call.query_stride + head_place + 2 * quarter;
    const float scale = call.scale * kLog2E;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      query[step][part] = to_bfloats(from[16 * step] * scale, from[16 * step + 1] * scale);
      query[step][part + 2] = to_bfloats(from[16 * step + 8] * scale, from[16 * step + 9] * scale);
    }
  }
  float row_max[2] = {-INFINITY, -INFINITY}, row_sum[2] = {0.0f, 0.0f};  // of sums this lane's part
  float acc[kOuts][4] = {};
#pragma unroll 1
  for (int start = work.first_key / kBfloatKeys * kBfloatKeys; start < work.end_key; start += kBfloatKeys) {
    __syncthreads();  // the tile before has been read
    shared.load(call, work, start);
    __syncthreads();
    float scores[kScores][4] = {};
    float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      const Bfloat* key = &shared.keys[8 * i + group][2 * quarter];
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        const uint32_t pairs[2] = {*reinterpret_cast<const uint32_t*>(key + 16 * step),
                                   *reinterpret_cast<const uint32_t*>(key + 16 * step + 8)};
        multiply_add(scores[i], query[step], pairs);
      }
#pragma unroll
      for (int place = 0; place < 4; ++place) {
        const int of_tile = 8 * i + 2 * quarter + place % 2, position = start + of_tile, own = queries[place / 2];
        const bool is_seen = shared.is_seen[of_tile] != 0 && own <= last_query && work.sees(call, own, position);
        float& score = scores[i][place];
        score = is_seen ? score + work.bias_of(call, own, position) : -INFINITY;
        largest[place / 2] = fmaxf(largest[place / 2], score);
      }
    }
    float shift[2];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const float new_max = fmaxf(row_max[part], max_of_four(largest[part]));
      shift[part] = new_max == -INFINITY ? 0.0f : new_max;
      const float faded = power_of_two(row_max[part] - shift[part]);
      row_max[part] = new_max;
      row_sum[part] *= faded;
#pragma unroll
      for (int i = 0; i < kOuts; ++i) acc[i][2 * part] *= faded, acc[i][2 * part + 1] *= faded;
    }
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
#pragma unroll
      for (int place = 0; place < 4; ++place) {
        scores[i][place] = power_of_two(scores[i][place] - shift[place / 2]);
        row_sum[place / 2] += scores[i][place];
      }
    }
#pragma unroll
    for (int step = 0; step < kBfloatKeys / 16; ++step) {  // what a lane has of two scores is its part of an operand
      const float (&left)[4] = scores[2 * step], (&right)[4] = scores[2 * step + 1];
      const uint32_t weights[4] = {to_bfloats(left[0], left[1]), to_bfloats(left[2], left[3]),
                                   to_bfloats(right[0], right[1]), to_bfloats(right[2], right[3])};
#pragma unroll
      for (int i = 0; i < kOuts; ++i) {
        const uint32_t* value = &shared.values[8 * i + group][8 * step + quarter];
        multiply_add(acc[i], weights, {value[0], value[4]});
      }
    }
  }
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const float sum = sum_of_lanes<4>(row_sum[part]);
    if (queries[part] > last_query) continue;
    const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
    const int64_t row = work.segment.first_row + queries[part];
    float* out = call.out + row * call.num_heads * kHeadDim + head_place + 2 * quarter;
#pragma unroll
    for (int i = 0; i < kOuts; ++i) {
      out[8 * i] = acc[i][2 * part] * factor, out[8 * i + 1] = acc[i][2 * part + 1] * factor;
    }
  }
}

constexpr int kFloatQueries = 16, kFloatKeys = 32, kQueryLanes = kThreads / kFloatQueries;

template <int kHeadDim>
struct alignas(16) FloatShared {
  float queries[kFloatQueries][kHeadDim + 4];  // neighbouring rows lie in different banks
  float keys[kFloatKeys][kHeadDim + 4], values[kFloatKeys][kHeadDim + 4];
  float weights[kFloatQueries][kFloatKeys + 4];
  uint8_t is_seen[kFloatKeys];
};

static_assert(sizeof(FloatShared<128>) == 44576, "resources.py says so");

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) prefix_attention_float32_kernel(PrefixAttention call) {
  AMT_SHARED(FloatShared<kHeadDim>, shared);
  const Work work = work_of(call, kFloatQueries);
  if (work.num_queries <= 0) return;  // the whole block
  const int thread = static_cast<int>(threadIdx.x), of_block = thread / kQueryLanes, part = thread % kQueryLanes;
  const int own = work.first_query + of_block;
  const bool is_there = of_block < work.num_queries;
  const int64_t head_place = static_cast<int64_t>(blockIdx.y) * kHeadDim;
  constexpr int kFours = kHeadDim / 4, kOuts = kHeadDim / kQueryLanes / 4, kScores = kFloatKeys / kQueryLanes;
  for (int item = thread; item < kFloatQueries * kFours; item += kThreads) {
    const int query = item / kFours, dim = item % kFours * 4;
    const int64_t row = work.segment.first_row + work.first_query + min(query, work.num_queries - 1);
    const float* from = call.query + row * call.query_stride + head_place + dim;
#pragma unroll
    for (int i = 0; i < 4; ++i) shared.queries[query][dim + i] = from[i] * call.scale * kLog2E;
  }
  float row_max = -INFINITY, row_sum = 0.0f;  // of the sum this lane's part
  float acc[kOuts][4] = {};                   // of numbers 4 * (part + 8 * i) on
#pragma unroll 1
  for (int start = work.first_key / kFloatKeys * kFloatKeys; start < work.end_key; start += kFloatKeys) {
    __syncthreads();  // the tile before has been read
    for (int item = thread; item < kFloatKeys * kFours; item += kThreads) {
      const int key = item / kFours, dim = item % kFours * 4;
      float4 key_four{0.0f, 0.0f, 0.0f, 0.0f}, value_four{0.0f, 0.0f, 0.0f, 0.0f};
      if (work.is_seen_by_some(start + key)) {
        const int64_t place = work.place(call, start + key) + dim;
        key_four = *reinterpret_cast<const float4*>(static_cast<const float*>(call.keys) + place);
        value_four = *reinterpret_cast<const float4*>(static_cast<const float*>(call.values) + place);
      }
      *reinterpret_cast<float4*>(&shared.keys[key][dim]) = key_four;
      *reinterpret_cast<float4*>(&shared.values[key][dim]) = value_four;
    }
    if (thread < kFloatKeys) shared.is_seen[thread] = work.is_seen_by_some(start + thread) ? 1 : 0;
    __syncthreads();
    float scores[kScores] = {};  // of keys part, part + 8, ...
#pragma unroll 4
    for (int dim = 0; dim < kHeadDim; dim += 4) {
      const float4 query = *reinterpret_cast<const float4*>(&shared.queries[of_block][dim]);
#pragma unroll
      for (int i = 0; i < kScores; ++i) {
        const float4 key = *reinterpret_cast<const float4*>(&shared.keys[part + kQueryLanes * i][dim]);
        scores[i] += query.x * key.x;
        scores[i] += query.y * key.y;
        scores[i] += query.z * key.z;
        scores[i] += query.w * key.w;
      }
    }
    float largest = row_max;
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      const int of_tile = part + kQueryLanes * i, position = start + of_tile;
      const bool is_seen = is_there && shared.is_seen[of_tile] != 0 && work.sees(call, own, position);
      scores[i] = is_seen ? scores[i] + work.bias_of(call, own, position) : -INFINITY;
      largest = fmaxf(largest, scores[i]);
    }
#pragma unroll
    for (int flip = kQueryLanes / 2; flip > 0; flip /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, flip));
    }
    const float shift = largest == -INFINITY ? 0.0f : largest, faded = power_of_two(row_max - shift);
    row_max = largest;
    row_sum *= faded;
#pragma unroll
    for (int i = 0; i < kScores; ++i) {
      const float weight = power_of_two(scores[i] - shift);
      row_sum += weight;
      shared.weights[of_block][part + kQueryLanes * i] = weight;
    }
#pragma unroll
    for (int i = 0; i < kOuts; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) acc[i][j] *= faded;
    }
    __syncthreads();
#pragma unroll 4
    for (int key = 0; key < kFloatKeys; ++key) {
      const float weight = shared.weights[of_block][key];
#pragma unroll
      for (int i = 0; i < kOuts; ++i) {
        const float4 value = *reinterpret_cast<const float4*>(&shared.values[key][4 * (part + kQueryLanes * i)]);
        acc[i][0] += weight * value.x;
        acc[i][1] += weight * value.y;
        acc[i][2] += weight * value.z;
        acc[i][3] += weight * value.w;
      }
    }
  }
  const float sum = sum_of_lanes<kQueryLanes>(row_sum);
  if (!is_there) return;
  float* out = call.out + (work.segment.first_row + own) * static_cast<int64_t>(call.num_heads) * kHeadDim + head_place;
#pragma unroll
  for (int i = 0; i < kOuts; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) out[4 * (part + kQueryLanes * i) + j] = sum == 0.0f ? 0.0f : acc[i][j] / sum;
  }
}

template <int kHeadDim>
int launch(const PrefixAttention& call, bool is_bfloat, void* stream) {
  const int of_block = is_bfloat ? kBfloatQueries : kFloatQueries;
  const dim3 grid(static_cast<unsigned>((call.longest_segment + of_block - 1) / of_block),
                  static_cast<unsigned>(call.num_heads), static_cast<unsigned>(call.num_segments));
  constexpr size_t kOfBfloat = sizeof(BfloatShared<kHeadDim>), kOfFloat = sizeof(FloatShared<kHeadDim>);
  const dim3 block(kThreads);
  if (is_bfloat) {
    return AMT_LAUNCH(prefix_attention_bfloat16_kernel<kHeadDim>, grid, block, kOfBfloat, stream, call);
  }
  return AMT_LAUNCH(prefix_attention_float32_kernel<kHeadDim>, grid, block, kOfFloat, stream, call);
}

}  // namespace

extern "C" int amt_cuda_prefix_attention(const PrefixAttention* call, int is_bfloat, void* stream) {
  const PrefixAttention copy = *call;
  if (call->head_dim == 32) return launch<32>(copy, is_bfloat != 0, stream);
  if (call->head_dim == 64) return launch<64>(copy, is_bfloat != 0, stream);
  return call->head_dim == 128 ? launch<128>(copy, is_bfloat != 0, stream) : kNoKernel;
}

}  // namespace amt::cuda
