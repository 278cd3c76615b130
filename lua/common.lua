-- common.lua: what every script begins with (concatenated before each of them).
--
-- Time, identity, expiry and the packed records of the capacity state. The specification is the Rust module
-- gateway/src/state/core: same commands, same replies, same state, tested on random sequences. Nothing here
-- draws a random number; every number is an integer below 2^53.
--
-- KEYS[1]  hash     the whole state of one namespace; it has no TTL, for evicting counters would over-admit
-- ARGV[1]  msgpack  {now, nonce, epoch, name, k, l_ack, x}: now = ms, 0 means this server's TIME; nonce = name
--                   of a new data set if there is none; the rest says who calls (core::Caller)
--
-- Fields of the hash (d = double):
--   e              layout, epoch, l, wall, due (nothing expires while l <= due)      5 d
--   lives          msgpack {{name, k, alive}, ...}; alive = 0: only its name is still remembered
--   n:NAME         highest k seen, time to forget it (0: its bearer lives)            2 d
--   i:NAME.K       exp, d_head, d_end                                                 3 d
--   l:NAME.K       msgpack {pool, ...}: the pools that it has counters on
--   c:NAME.K:POOL  granted, returned, posted of each meter                           3n d
--   p:POOL         rest_until, n, then 13 d per meter (see below)
--   r:POOL         closed buckets of each window meter, buckets + 2 each
--   d              msgpack {{due, pool, meter, amount}, ...}: holds of the dead, to be posted
-- Written in one HSET at the end, so that an error in the middle leaves no half step.

local TTL, GAP, RAISE_AFTER, REMEMBER, UNKNOWN_WAIT, HEAR_FIRST = 1000, 1000, 10000, 3600000, 1000, 250
local TICKS = 2 ^ 20 -- of pacing, per ms
local LAYOUT = 1
-- a meter's doubles, counted from its base; stage 0 = head, 1 = end; buckets 0 = gauge
local STAGE, WIDTH, BUCKETS, CAP, CAP_UNTIL, LAST, SUM, CUR, HOLD, POSTED, LEVEL, LEVEL_AT, SPARE =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
local FIELDS = 13

if redis.replicate_commands then redis.replicate_commands() end -- before Redis 7: allow TIME before a write
local key = KEYS[1]
local floor, max, min = math.floor, math.max, math.min
local now, nonce, epoch_said, name, k, l_ack, x = unpack(cmsgpack.unpack(ARGV[1]))
local inc = name .. '.' .. string.format('%.0f', k)
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + floor(t[2] / 1000)
end

local put, gone = {}, {} -- fields to write, fields to delete
local pools = {}         -- records read so far, by pool
local epoch, l, wall, due

local function doubles(s, n, at) return {struct.unpack('<' .. string.rep('d', n), s, at or 1)} end
local function packed(t, n) return struct.pack('<' .. string.rep('d', n), unpack(t, 1, n)) end

-- The logical clock (core/clock.rs).
local function advance_clock(e)
  if not e then
    epoch, l, wall, due = nonce, now, now, 2 ^ 52
    return true
  end
  local layout
  layout, epoch, l, wall, due = struct.unpack('<ddddd', e)
  if layout ~= LAYOUT then return false end
  local passed = max(now - wall, 0)
  wall = now
  if passed > GAP then
    local witnessed = 0
    if l_ack > 0 then witnessed = max(l_ack + x - l, 0) end
    passed = max(GAP, min(passed, witnessed))
  end
  l = l + passed
  return true
end

-- A pool's record: v = rest_until, n, meters; ring = closed buckets, read when needed.
local function record(pool, s)
  local p = {key = pool, n = 0, v = {0, 0}}
  if s then
    p.n = (#s / 8 - 2) / FIELDS
    p.v = doubles(s, 2 + p.n * FIELDS)
    p.v[3 + p.n * FIELDS] = nil -- the position that struct.unpack returns last
  end
  pools[pool] = p
  return p
end
local function load(pool) return pools[pool] or record(pool, redis.call('HGET', key, 'p:' .. pool)) end

local function slots(v, b)
  if v[b + BUCKETS] == 0 then return 0 end
  return v[b + BUCKETS] + 2
end
-- Reads the ring; returns it and the offset of meter i's buckets in it.
local function ring(p, i)
  if not p.ring then
    local total = 0
    for m = 0, p.n - 1 do total = total + slots(p.v, 2 + m * FIELDS) end
    local s = redis.call('HGET', key, 'r:' .. p.key)
    if s then
      p.ring = doubles(s, total)
    else
      p.ring = {}
      for at = 1, total do p.ring[at] = 0 end
    end
    p.total = total
  end
  local offset = 1
  for m = 0, i - 1 do offset = offset + slots(p.v, 2 + m * FIELDS) end
  return p.ring, offset
end

-- Brings meter i (from 0) to the present (core/meter.rs).
local function advance(p, i)
  local v, b = p.v, 2 + i * FIELDS
  local n, bucket = slots(v, b), floor(l / v[b + WIDTH])
  local last = v[b + LAST]
  if n == 0 or bucket <= last then return end
  local r, offset = ring(p, i)
  r[offset + last % n] = v[b + CUR]
  v[b + CUR] = 0
  for j = last + 1, min(bucket, last + n) do
    local at = offset + j % n
    v[b + SUM] = v[b + SUM] - r[at]
    r[at] = 0
  end
  v[b + LAST] = bucket
  p.dirty, p.ring_dirty = true, true
end

local function post(p, i, amount)
  local v, b = p.v, 2 + i * FIELDS
  v[b + POSTED] = v[b + POSTED] + amount
  if v[b + BUCKETS] > 0 then
    v[b + CUR] = v[b + CUR] + amount
    v[b + SUM] = v[b + SUM] + amount
  end
  p.dirty = true
end

-- Ends a dead replica's hold: posted to a window, dropped from a gauge.
local function release(pool, i, amount)
  local p = load(pool)
  if i >= p.n then return end
  advance(p, i)
  local b = 2 + i * FIELDS
  p.v[b + HOLD] = p.v[b + HOLD] - amount
  if p.v[b + BUCKETS] > 0 then post(p, i, amount) end -- @posted: the control releases instead
  p.dirty = true
end

local function list(field)
  local s = redis.call('HGET', key, field)
  if s then return cmsgpack.unpack(s) end
  return {}
end

-- The death of one incarnation: head holds are posted, end holds wait for d_end.
local function let_die(id, exp, d_end, pending)
  local drawn = list('l:' .. id)
  table.sort(drawn)
  for _, pool in ipairs(drawn) do
    local field = 'c:' .. id .. ':' .. pool
    local c, p = redis.call('HGET', key, field), load(pool)
    local counters = doubles(c, #c / 8)
    for i = 0, p.n - 1 do
      local amount = counters[3 * i + 1] - counters[3 * i + 2]
      if amount > 0 then
        if p.v[2 + i * FIELDS + STAGE] == 1 then
          pending[#pending + 1] = {exp + d_end, pool, i, amount}
        else
          release(pool, i, amount)
        end
      end
    end
    gone[#gone + 1] = field
  end
  gone[#gone + 1] = 'l:' .. id
  gone[#gone + 1] = 'i:' .. id
end

-- Highest number seen of a name, and when it may be forgotten; nil if the name is not known.
local function highest_of(who)
  local n = put['n:' .. who] or redis.call('HGET', key, 'n:' .. who)
  if n then return struct.unpack('<dd', n) end
end

-- Everything that is due, before anything is granted (core/life.rs).
local function expire()
  if l <= due then return end
  local lives, kept, pending, waiting = list('lives'), {}, list('d'), {}
  due = 2 ^ 52
  table.sort(lives, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
  for _, life in ipairs(lives) do
    local id = life[1] .. '.' .. string.format('%.0f', life[2])
    if life[3] == 1 then
      local exp, d_head, d_end = struct.unpack('<ddd', redis.call('HGET', key, 'i:' .. id))
      if l > exp + d_head then
        let_die(id, exp, d_end, pending)
        life[3] = 0
        if highest_of(life[1]) == life[2] then
          put['n:' .. life[1]] = struct.pack('<dd', life[2], l + REMEMBER)
        end
      else
        due = min(due, exp + d_head)
        kept[#kept + 1] = life
      end
    end
    local highest, forget = highest_of(life[1])
    if life[3] == 0 and highest == life[2] then -- the last of its name: kept until it may be forgotten
      if forget > 0 and l > forget then
        put['n:' .. life[1]] = nil
        gone[#gone + 1] = 'n:' .. life[1]
      else
        kept[#kept + 1] = life
        due = min(due, forget)
      end
    end
  end
  for _, entry in ipairs(pending) do
    if l > entry[1] then
      release(entry[2], entry[3], entry[4])
    else
      waiting[#waiting + 1] = entry
      due = min(due, entry[1])
    end
  end
  put['lives'], put['d'] = cmsgpack.pack(kept), cmsgpack.pack(waiting)
end

-- Writes everything in one step and returns the reply.
local function commit(reply)
  put['e'] = struct.pack('<ddddd', LAYOUT, epoch, l, wall, due)
  for pool, p in pairs(pools) do
    if p.dirty then
      p.v[2] = p.n
      put['p:' .. pool] = packed(p.v, 2 + p.n * FIELDS)
    end
    if p.ring_dirty then put['r:' .. pool] = packed(p.ring, p.total) end
  end
  local args = {}
  for field, value in pairs(put) do
    args[#args + 1] = field
    args[#args + 1] = value
  end
  for at = 1, #args, 4000 do redis.call('HSET', key, unpack(args, at, min(at + 3999, #args))) end
  for at = 1, #gone, 4000 do redis.call('HDEL', key, unpack(gone, at, min(at + 3999, #gone))) end
  return reply
end
local GRANTED, DENIED, TOO_BIG, GONE, EPOCH, OTHER_LAYOUT = 0, 1, 2, 3, 4, 5
-- The highest number seen of the caller's name, for a caller whose life is over.
local function is_gone()
  return commit({GONE, (highest_of(name)) or 0})
end
