-- common.lua: what every script begins with (concatenated before each of them).
--
-- Time, identity, expiry and the packed records of the capacity state. The specification is the Rust module
-- gateway/src/state/core: same commands, same replies, same state, tested on random sequences. Nothing here
-- draws a random number; every number is an integer below 2^53.
--
-- KEYS[1]  hash     the whole state of one namespace; it has no TTL, for evicting counters would over-admit
-- ARGV[1]  msgpack  {now, nonce, epoch, inc, name, k, l_ack, x}: now = ms, 0 means this server's TIME; nonce = name
--                   of a new data set if there is none; the rest says who calls (core::Caller); inc = NAME.K
--
-- Fields of the hash (d = double):
--   e              layout, epoch, l, wall, due (nothing expires while l <= due)      5 d
--   lives          msgpack {{name, k, alive}, ...}; alive = 0: only its name is still remembered
--   n:NAME         highest k seen, time to forget it (0: its bearer lives)            2 d
--   i:NAME.K       exp, d_head, d_end                                                 3 d
--   l:NAME.K       msgpack {pool, ...}: the pools that it has counters on
--   c:NAME.K:POOL  granted of each meter, then returned of each, then posted of each  3n d
--   p:POOL         rest_until, then 12 of each meter (CAP ... BUCKETS below)      1 + 12n d
--   r:POOL         closed buckets of each window meter, buckets + 2 each
--   d              msgpack {{due, pool, meter, amount}, ...}: holds of the dead, to be posted
-- Written in one HSET at the end, so that an error in the middle leaves no half step. Replies are msgpack
-- as well, one string each. Names of constants are replaced by their numbers before a script is sent (scripts.rs).

local TTL, GAP, RAISE_AFTER, REMEMBER, UNKNOWN_WAIT, HEAR_FIRST = 1000, 1000, 10000, 3600000, 1000, 250
local TICKS = 1048576 -- of pacing, per ms: 2^20
local LAYOUT = 2
-- A meter's doubles: those of meter i (from 0) stand in p.v behind base(i).
-- STAGE 0 = head, 1 = end; BUCKETS 0 = gauge
local CAP, CAP_UNTIL, LAST, SUM, HOLD, CUR, POSTED, LEVEL, LEVEL_AT = 1, 2, 3, 4, 5, 6, 7, 8, 9
local STAGE, WIDTH, BUCKETS = 10, 11, 12
local METER, BYTES = 12, 96
local FORMAT = '<dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd' -- 64 doubles

if redis.replicate_commands then redis.replicate_commands() end -- before Redis 7: allow TIME before a write
local key = KEYS[1]
local floor, max, min = math.floor, math.max, math.min
local now, nonce, epoch_said, inc, name, k, l_ack, x = unpack(cmsgpack.unpack(ARGV[1]))
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000 + floor(t[2] / 1000)
end

local put, gone = {}, {} -- fields to write, fields to delete
local dead = {}          -- incarnations that this script buries
local pools = {}         -- records read so far, by pool
local epoch, l, wall, due
local stored -- field e as read

-- A string is hashed when it is made: to cut one is cheaper than to build one.
local function format(n)
  if n < #FORMAT then return string.sub(FORMAT, 1, n + 1) end
  return '<' .. string.rep('d', n)
end
local function doubles(s, n) return {struct.unpack(format(n), s)} end
local function packed(t, n) return struct.pack(format(n), unpack(t, 1, n)) end

-- The logical clock (core/clock.rs).
local function advance_clock(e)
  stored = e
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

-- A pool's record: n meters in v, ring = closed buckets, read when needed.
local function record(pool, s)
  local p = {key = pool, n = 0}
  if s then
    p.n = (#s - 8) / BYTES
    p.v = doubles(s, 1 + METER * p.n)
  else
    p.v = {0}
  end
  pools[pool] = p
  return p
end
local function load(pool) return pools[pool] or record(pool, redis.call('HGET', key, 'p:' .. pool)) end
local function base(i) return 1 + METER * i end

local function slots(v, b)
  local buckets = v[b + BUCKETS]
  return buckets == 0 and 0 or buckets + 2
end
-- Reads the ring; returns it and the offset of meter i's buckets in it.
local function ring(p, i)
  local v = p.v
  if not p.ring then
    local total = 0
    for m = 0, p.n - 1 do total = total + slots(v, base(m)) end
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
  for m = 0, i - 1 do offset = offset + slots(v, base(m)) end
  return p.ring, offset
end

-- Brings meter i (from 0) to the present (core/meter.rs).
local function advance(p, i)
  local v, b = p.v, base(i)
  local bucket, last, n = floor(l / v[b + WIDTH]), v[b + LAST], slots(v, b)
  if bucket <= last or n == 0 then return end
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
  local v, b = p.v, base(i)
  v[b + POSTED] = v[b + POSTED] + amount
  if v[b + BUCKETS] > 0 then
    v[b + CUR] = v[b + CUR] + amount
    v[b + SUM] = v[b + SUM] + amount
  end
  p.dirty = true
end

local function list(field)
  local s = redis.call('HGET', key, field)
  if s then return cmsgpack.unpack(s) end
  return {}
end

-- Highest number seen of a name, and when it may be forgotten; nil if the name is not known.
local function highest_of(who)
  local n = put['n:' .. who] or redis.call('HGET', key, 'n:' .. who)
  if n then return struct.unpack('<dd', n) end
end

-- Everything that is due, before anything is granted (core/life.rs).
local function expire()
  if l <= due then return end

  -- Ends a dead replica's hold: posted to a window, dropped from a gauge.
  local function release(pool, i, amount)
    local p = load(pool)
    if i >= p.n then return end
    advance(p, i)
    local v, b = p.v, base(i)
    v[b + HOLD] = v[b + HOLD] - amount
    if v[b + BUCKETS] > 0 then post(p, i, amount) end -- @posted: the control releases instead
    p.dirty = true
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
        local amount = counters[i + 1] - counters[p.n + i + 1]
        if amount > 0 then
          if p.v[base(i) + STAGE] == 1 then
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
    dead[id] = true
  end

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

-- The list of lives as it stands, and how many of them are alive.
local function lives_now() return put['lives'] and cmsgpack.unpack(put['lives']) or list('lives') end
local function count_live(lives)
  local live = 0
  for _, life in ipairs(lives) do
    if life[3] == 1 then
      local id = 'i:' .. life[1] .. '.' .. string.format('%.0f', life[2])
      if struct.unpack('<d', put[id] or redis.call('HGET', key, id)) >= l then live = live + 1 end
    end
  end
  return live
end

-- Writes everything in one step and returns the reply, packed: one string is cheaper to read than an array.
local function commit(reply)
  local args, n = {}, 0
  local e = struct.pack('<ddddd', LAYOUT, epoch, l, wall, due)
  if e ~= stored then args[1], args[2], n = 'e', e, 2 end -- within a millisecond nothing of it changes
  for pool, p in pairs(pools) do
    if p.dirty then
      args[n + 1], args[n + 2] = 'p:' .. pool, packed(p.v, 1 + METER * p.n)
      n = n + 2
    end
    if p.ring_dirty then
      args[n + 1], args[n + 2] = 'r:' .. pool, packed(p.ring, p.total)
      n = n + 2
    end
  end
  for field, value in pairs(put) do
    args[n + 1], args[n + 2] = field, value
    n = n + 2
  end
  for at = 1, #gone, 4000 do redis.call('HDEL', key, unpack(gone, at, min(at + 3999, #gone))) end
  for at = 1, n, 4000 do redis.call('HSET', key, unpack(args, at, min(at + 3999, n))) end -- what returned stays
  return cmsgpack.pack(reply)
end
local GRANTED, DENIED, TOO_BIG, GONE, EPOCH, OTHER_LAYOUT = 0, 1, 2, 3, 4, 5
local function other_layout() return cmsgpack.pack({OTHER_LAYOUT}) end
-- The highest number seen of the caller's name, for a caller whose life is over.
local function is_gone() return commit({GONE, (highest_of(name)) or 0}) end
