-- common.lua: what every script begins with (concatenated before each of them, with lives.lua behind it).
--
-- Time, identity, expiry and the packed records of the capacity state. The specification is the Rust module
-- gateway/src/state/core: same commands, same replies, same state, tested on random sequences. Nothing here
-- draws a random number; every number is an integer below 2^53.
--
-- KEYS[1]  hash     the whole state of one namespace; it has no TTL, for evicting counters would over-admit
-- ARGV[1]  msgpack  {now, nonce, run, epoch, inc, name, k, l_ack, x}: now = ms, 0 means this server's TIME; nonce =
--                   name of the next epoch, if one begins; run = of the server that the caller connected to, 0 unknown;
--                   the rest says who calls (core::Caller); inc = NAME.K
--
-- Fields of the hash (d = double):
--   e              layout, epoch, l, wall, due (nothing expires while l <= due), run, learning (0, 1)      7 d
--   learn          msgpack {since, told, fresh, {NAME.K, ...}, {}, {}, whole, {known from, to}, {}, chunks of pools,
--                  {cut epoch, ...}, {such as were whole, ...}, {NAME.K that ended since, ...}}; while learning
--   o:POOL         msgpack {epoch, seen, NAME.K ('': nobody), {held, ...}, {looked, if anybody}, {{NAME.K, {kept, ...}, heard},
--                  ...}, {{{NAME.K, ...}, {held, ...}, seen}, ...}}: what was told of a pool (core::Learn); while learning
--   os:N           msgpack {POOL, ...}: pools that have one, chunk N from 1; while learning
--   lives          msgpack {{name, k, alive}, ...}; alive = 0: only its name is still remembered
--   n:NAME         highest k seen, time to forget it (0: its bearer lives)            2 d
--   i:NAME.K       exp, d_head, d_end, told (epoch + 1; 0 nothing)                    4 d
--   l:NAME.K       msgpack {pool, ...}: the pools that it has counters on
--   c:NAME.K:POOL  granted of each meter, then returned of each, then posted of each  3n d
--   p:POOL         rest_until, epoch, then 14 of each meter (CAP ... IMAGE_POSTED below)      2 + 14n d
--   r:POOL         closed buckets of each window meter, buckets + 2 each
--   h:POOL         the same of before data were lost (core/learn.rs); mostly absent
--   b              7 of each deployment or account whose circuit is not plainly closed (core/circuit.rs): its tag, then 1, next,
--                  lone, permit, good, since of an open one, or 2, since, whole, 0, 0, 0 of one whose calls are coming back   7n d
--   w:TAG          slot, its width, failed in a row, when something went well; then what went well and what failed of each
--                  of the 10 slots                                                                                       24 d
--   v:TAG          msgpack {minute, changed, {sum, ...}, {calls, input, output, ... of each minute, the current one first},
--                  {NAME, k, busy, ...}}: how a deployment behaves (core/behaviour.rs)
--   j              tag and when it was told of last, of each v:TAG, the longest untold first                     2n d
--   a              time after which nothing of what follows lowers anything; absent before anything was learned  1 d
--   a:POOL         share in millionths that refusals left, since; then of each meter what its provider said: cap, when,
--                  for how long (core/learned.rs)                                                2 + 3n d
--   s:POOL         of a pool that starts slowly: when its period began, how far each meter may be used in it (core/slow.rs)   1 + n d
--   z              msgpack {when the newest moved that is not here, then when, session, tag of each session that moved lately}
--                  (core/moves.rs); absent before the first
--   d              msgpack {{due, pool, meter, amount}, ...}: holds of the dead, to be posted
-- Written in one HSET at the end, so that an error in the middle leaves no half step. Replies are msgpack
-- as well, one string each. Names of constants are replaced by their numbers before a script is sent (scripts.rs).

local TTL, GAP, RAISE_AFTER, REMEMBER, UNKNOWN_WAIT, NEXT_SYNC = 1000, 1000, 10000, 3600000, 1000, 250
local WHOLE, RECOVERY, LONGEST = 1000000, 6, 120000 -- of what is learned (core/learned.rs)
local MOVED = 2000 -- ms that a move is told of (core/moves.rs)
local TICKS = 1048576 -- of pacing, per ms: 2^20
local LAYOUT = 3
local LEARN, LEAST, SETTLE = 2000, 400, 1000
local OVER = 60000 -- a period, for all (core/life.rs)
-- A meter's doubles: those of meter i (from 0) stand in p.v behind base(i).
-- STAGE 0 = head, 1 = end; BUCKETS 0 = gauge
local CAP, CAP_UNTIL, LAST, SUM, HOLD, CUR, POSTED, LEVEL, LEVEL_AT = 1, 2, 3, 4, 5, 6, 7, 8, 9
local STAGE, WIDTH, BUCKETS, IMAGE_SUM, IMAGE_POSTED = 10, 11, 12, 13, 14
local REST, USED_IN = 1, 2 -- of the pool: no draw before; the epoch that it was last used in
local METER, BYTES = 14, 112
local FORMAT = '<dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd' -- 64 doubles

if redis.replicate_commands then redis.replicate_commands() end -- before Redis 7: allow TIME before a write
local key = KEYS[1]
local floor, max, min = math.floor, math.max, math.min
local now, nonce, run_said, epoch_said, inc, name, k, l_ack, x = unpack(cmsgpack.unpack(ARGV[1]))
local is_real = now == 0
if is_real then
  local t = redis.call('TIME')
  now = t[1] * 1000 + floor(t[2] / 1000)
end

local put, gone = {}, {} -- fields to write, fields to delete
local dead = {}          -- incarnations that this script buries
local forgotten = {}     -- names that it forgets
local pools = {}         -- records read so far, by pool
local epoch, l, wall, due, run
local learning, learn = 0, nil
local stored, learn_stored -- fields e and learn as read

-- A string is hashed when it is made: to cut one is cheaper than to build one.
local function format(n)
  if n < #FORMAT then return string.sub(FORMAT, 1, n + 1) end
  return '<' .. string.rep('d', n)
end
local function doubles(s, n) return {struct.unpack(format(n), s)} end -- one more: where it ended
local function packed(t, n) return struct.pack(format(n), unpack(t, 1, n)) end

local function list(field)
  local s = redis.call('HGET', key, field)
  if s then return cmsgpack.unpack(s) end
  return {}
end
-- The list of lives as it stands.
local function lives_now() return put['lives'] and cmsgpack.unpack(put['lives']) or list('lives') end
local function id_of(life) return life[1] .. '.' .. string.format('%.0f', life[2]) end

-- What was told of pools in a learning that a script of the version before ended.
local function forget_left_behind()
  local field, told = 'os:1', redis.call('HGET', key, 'os:1')
  local n = 1
  while told do
    for _, pool in ipairs(cmsgpack.unpack(told)) do gone[#gone + 1] = 'o:' .. pool end
    gone[#gone + 1] = field
    n = n + 1
    field = 'os:' .. n
    told = redis.call('HGET', key, field)
  end
end

-- Begins an epoch in which nothing is granted until the replicas have told what they know (core/learn.rs).
local function forget(from, to)
  local last, roster, known, chunks, cut, whole = epoch, {}, {}, 0, {}, {}
  epoch = nonce == 0 and epoch + 1 or nonce
  for _, life in ipairs(lives_now()) do
    if life[3] == 1 then roster[#roster + 1] = id_of(life) end
  end
  if learn then
    from = min(from, learn[8][1]) -- it may not know what it was learning
    for _, id in ipairs(roster) do known[id] = true end
    for _, id in ipairs(learn[4]) do -- who named them may have died since, and they may still tell
      if not known[id] then roster[#roster + 1] = id end
    end
    chunks, cut, whole = learn[10], learn[11], learn[12]
    cut[#cut + 1] = last
    if learn[7] == 1 then whole[#whole + 1] = last end
  else
    forget_left_behind()
  end
  learning, learn = 1, {l, 0, 0, roster, {}, {}, 0, {from, to}, {}, chunks, cut, whole, {}}
end

-- The logical clock (core/clock.rs), and whether this is still the server that it was. What is rare stands inside: to
-- make a function takes time at every run of a script.
local asks_run = false -- whether the server is asked who it is, whatever the caller believes
local function advance_clock(e)
  stored = e
  if not e then
    epoch, l, wall, due, run = nonce, now, now, 2 ^ 52, run_said
    forget(0, 0)
    return true
  end
  if struct.unpack('<d', e) ~= LAYOUT then return false end
  local _
  _, epoch, l, wall, due, run, learning = struct.unpack('<ddddddd', e)
  local passed = max(now - wall, 0)
  local away = passed > TTL
  wall = now
  if passed > GAP then
    local witnessed = 0
    if l_ack > 0 then witnessed = max(l_ack + x - l, 0) end
    passed = max(GAP, min(passed, witnessed))
  end
  local last = l
  l = l + passed
  if learning == 1 then
    learn_stored = redis.call('HGET', key, 'learn')
    learn = cmsgpack.unpack(learn_stored)
    if not learn[13] then -- begun by a script of the version before
      local rest = {[6] = {}, [7] = 0, [8] = {0, 2 ^ 52}, [9] = {}, [10] = 0, [11] = {}, [12] = {}, [13] = {}}
      for at = 6, 13 do learn[at] = learn[at] or rest[at] end
    end
  end

  local before = learn
  if away then -- lives go on, and nothing is granted until each has told what it used (core/mod.rs, was_away)
    for _, life in ipairs(lives_now()) do
      if life[3] == 1 then
        local field = 'i:' .. id_of(life)
        local exp, d_head, d_end, told = struct.unpack('<dddd', redis.call('HGET', key, field))
        put[field] = struct.pack('<dddd', exp + passed, d_head, d_end, told)
      end
    end
    forget(last, last)
  end

  if is_real and (asks_run or run_said ~= run) then -- a proxy may have led the connection to another server meanwhile
    local info = redis.pcall('INFO', 'server')
    local id = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
    if id then run_said = tonumber(string.sub(id, 1, 13), 16) end -- else it may not be asked
  end
  if run_said ~= 0 and run_said ~= run then
    run = run_said
    forget(last, last)
  elseif run_said ~= 0 and away and (not before or before[7] == 1) then -- it was only silent, once or several times
    learn[7] = 1
  end
  return true
end

-- A pool's record: n meters in v; ring = closed buckets, image = those of before a loss, read when needed.
local function record(pool, s)
  local p = {key = pool, n = 0, s = s}
  if s then
    p.n = (#s - 16) / BYTES
    p.v = doubles(s, 2 + METER * p.n)
  else
    p.v = {0, 0}
  end
  pools[pool] = p
  return p
end
local function load(pool) return pools[pool] or record(pool, redis.call('HGET', key, 'p:' .. pool)) end
local function base(i) return 2 + METER * i end

local function slots(v, b)
  local buckets = v[b + BUCKETS]
  return buckets == 0 and 0 or buckets + 2
end
-- Reads a ring ('ring' or 'image', stored as r: or h:); returns it and the offset of meter i's buckets in it.
local function ring(p, i, which)
  local v = p.v
  which = which or 'ring'
  if not p[which] then
    local total = 0
    for m = 0, p.n - 1 do total = total + slots(v, base(m)) end
    local s = not p.swept and redis.call('HGET', key, (which == 'ring' and 'r:' or 'h:') .. p.key)
    local t = {}
    if s then
      t = doubles(s, total)
    else
      for at = 1, total do t[at] = 0 end
    end
    p[which], p.total = t, total
  end
  local offset = 1
  for m = 0, i - 1 do offset = offset + slots(v, base(m)) end
  return p[which], offset
end

-- Brings meter i (from 0) to the present (core/meter.rs).
local function advance(p, i)
  local v, b = p.v, base(i)
  local bucket, last, n = floor(l / v[b + WIDTH]), v[b + LAST], slots(v, b)
  if bucket <= last or n == 0 then return end
  local r, offset = ring(p, i)
  local image = v[b + IMAGE_SUM] > 0 and ring(p, i, 'image')
  r[offset + last % n] = v[b + CUR]
  v[b + CUR] = 0
  for j = last + 1, min(bucket, last + n) do
    local at = offset + j % n
    v[b + SUM] = v[b + SUM] - r[at]
    r[at] = 0
    if image then
      v[b + IMAGE_SUM] = v[b + IMAGE_SUM] - image[at]
      image[at] = 0
      p.image_dirty = true
    end
  end
  v[b + LAST] = bucket
  p.dirty, p.ring_dirty = true, true
end

-- The pool in this epoch: what it had counted in the one before becomes an image (core/image.rs).
local function current(p)
  local v = p.v
  local last = v[USED_IN]
  if last == epoch then return p end
  v[USED_IN], p.dirty = epoch, true
  for _, cut in ipairs(learning == 1 and learn[11] or {}) do -- all of it was told while learning, which goes on
    if cut == last then return p end
  end
  for i = 0, p.n - 1 do
    advance(p, i)
    local b = base(i)
    local n = slots(v, b)
    v[b + IMAGE_POSTED] = v[b + POSTED]
    if n > 0 and v[b + SUM] > 0 then
      local r, offset = ring(p, i)
      local image = ring(p, i, 'image')
      r[offset + v[b + LAST] % n] = v[b + CUR]
      for at = offset, offset + n - 1 do
        image[at] = image[at] + r[at]
        r[at] = 0
      end
      v[b + IMAGE_SUM], v[b + SUM], v[b + CUR] = v[b + IMAGE_SUM] + v[b + SUM], 0, 0
      p.ring_dirty, p.image_dirty = true, true
    end
  end
  return p
end

-- Meter i has this cap by who calls: the lowest that was declared lately counts (core/meter.rs).
local function declare(p, i, cap)
  local v, b = p.v, base(i)
  if cap < v[b + CAP] or (cap > v[b + CAP] and l > v[b + CAP_UNTIL]) then
    v[b + CAP], v[b + CAP_UNTIL], p.dirty = cap, l + RAISE_AFTER, true
  elseif cap == v[b + CAP] and v[b + CAP_UNTIL] < l + RAISE_AFTER / 2 then
    v[b + CAP_UNTIL], p.dirty = l + RAISE_AFTER, true
  end
end

-- Makes the record of a pool that is used for the first time, brings it to the present, takes note of the declared
-- caps. decl = {key, then stage, width, buckets, cap, pace of each meter}
local function touch(decl)
  local p = pools[decl[1]] or load(decl[1])
  if p.touched then return p end
  p.touched = true
  local v = current(p).v
  if p.n == 0 and #decl > 1 then
    p.n, p.dirty = (#decl - 1) / 5, true
    for i = 0, p.n - 1 do
      local b, d = base(i), 5 * i
      local width = decl[d + 3]
      for f = 1, METER do v[b + f] = 0 end
      v[b + STAGE], v[b + WIDTH], v[b + BUCKETS], v[b + LEVEL_AT] = decl[d + 2], width, decl[d + 4], l
      v[b + CAP], v[b + CAP_UNTIL], v[b + LAST] = decl[d + 5], l + RAISE_AFTER, floor(l / width)
    end
  end
  for i = 0, p.n - 1 do
    local b, cap = base(i), decl[5 * i + 5]
    if v[b + BUCKETS] > 0 and l >= (v[b + LAST] + 1) * v[b + WIDTH] then advance(p, i) end
    declare(p, i, cap)
  end
  return p
end

local taught = 0 -- field a, in scripts that read it
-- How far meter i may be used by what was learned (core/learned.rs); then what its provider said, when and for how long, if
-- that lowers it.
local function bound(p, i)
  local cap = p.v[base(i) + CAP]
  if l < taught and p.learned == nil then
    local s = redis.call('HGET', key, 'a:' .. p.key)
    p.learned = s and doubles(s, #s / 8) or false
  end
  local known = l < taught and p.learned
  if not known then return cap end
  local share = min(WHOLE, known[1] + floor(max(0, l - known[2]) / RECOVERY))
  local whole = max(1, min(cap, math.ceil(cap * share / WHOLE)))
  local at = 3 + 3 * i
  local said, since, lasts = known[at], known[at + 1], known[at + 2]
  local passed = max(0, l - since)
  if said >= cap or passed >= lasts then return whole end
  local back = said + floor((cap - said) * (passed * passed) / (lasts * lasts))
  if back >= whole then return whole end
  return back, said, since, lasts
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
