-- reserve.lua: chooses a candidate and draws on every pool that the call touches, all or nothing.
-- Keeps: window + hold <= cap after every grant on every meter that it draws on; a session goes where it went while that fits; a
-- grant is followed by d_head of its caller's life at least; of an open circuit one probe runs at a time.
-- KEYS[1]  hash     the state
-- KEYS[2]  string   the session's pin: tag, version, expires (3 d); this script sets its TTL. Only with a session
-- KEYS[n]  string   the line: the virtual time, until; then tag, rank, start, waits until, asks at, seen of each flow ((2 + 6n) d);
--                   with a TTL. The last key, only with a turn
-- ARGV[1]  msgpack  head (common.lua)
-- ARGV[2]  msgpack  {pools, common, candidates, ttl, left, why, luck, used, most, turn, slow, kin}
--                   pools       {{key, then stage, width, buckets, cap, pace of each meter}, ...}
--                   common      {pool index from 0, amount per meter ...}, ... drawn whoever is chosen
--                   candidates  {tag, tier, threshold in millionths, {draws as in common}, 1: its circuit counts, tag of its
--                               account's circuits or 0}, ... best first
--                   ttl         ms that the session is remembered; 0: there is none
--                   left        pool index from 1 of which the reply tells what is left, 0 none
--                   why         1: the reply tells what became of every candidate, whichever is taken
--                   luck        from 0 to 999,999: who comes back from an open circuit takes so many of the calls
--                   used        1: the reply tells what is counted on the candidate's own pools, and was ever
--                   most        millionths of the candidates' caps that may be used with it
--                   turn        {} or {flow, rank, cost, 1: waits if there is no room, 1: others wait behind it} (core/fair.rs)
--                   slow        of each pool that starts slowly: index from 1, share of the caps and factor per mille, period in ms
--                   kin         absent, or {shares that differ by no more are equal, millionths; who need not leave goes nowhere above
--                               this share; model and provider of who has just failed the call, or 0; then of each candidate
--                               its model, provider and set, what the call costs there, below what it is worth leaving, nano-dollars}
-- Returns  {0, candidate from 0, session 0 none 1 hit 2 new 3 moved, share in millionths, l}
--          | {1, retry in ms, exact, pool, 1 a common one, 2 no pool but a circuit} | {2, pool, meter} larger than a cap
--          the first two followed, if asked for or if the first candidate itself is why it was not taken, by
--          {left per meter}, {per candidate 0 not looked at, 0, 0 | 1 fits, share, 0 | 2 waits, ms, pool |
--          3 larger than a cap, 0, pool | 4 circuit open, ms, whose (0 its own, 1 of the account's key, 2 of its credit) |
--          5 fits and comes back, share, 0};
--          behind them the number of a probe's permit, 0 if it is none; {used, posted or
--          held ever of each meter, draw by draw} if asked for
--          | {3, highest k} gone | {4, epoch} | {5} other layout | {6, ms at most} learning
-- Cost     TIME, HMGET, HSET (GET and SET with a session); one HGET per pool after the 16th, per chosen pool after
--          the 4th, per pool that starts slowly; 20 us with two pools of five meters
local PROBE, RAMP, OPEN, LONE = 1, 2, 3, 1000 -- what a circuit says that is not closed (core/circuit.rs)
local YIELD, GRACE, YIELDED, AHEAD, WAITS, ASKS, IDLE, FORGOTTEN, FLOWS = 950000, 50, 25, 8, 1000, 500, 10000, 60000, 64 -- core/fair.rs
local PERIODS, SLOW = 64, 60000 -- core/slow.rs
local MOVES = 256 -- core/moves.rs
local asked, common, candidates, ttl, left, why, luck, used_too, upto, turn, slow, kin = unpack(cmsgpack.unpack(ARGV[2]))
local pin_key, line_key = ttl > 0 and KEYS[2], turn[1] and KEYS[#KEYS]
local wanted = {'e', 'i:' .. inc, 'b', 'a'}
local ahead, counted = min(#asked, 16), min(#asked, 4)
for at = 1, ahead do wanted[at + 4] = 'p:' .. asked[at][1] end
for at = 1, counted do wanted[at + 4 + ahead] = 'c:' .. inc .. ':' .. asked[at][1] end
local read = redis.call('HMGET', key, unpack(wanted))
if not advance_clock(read[1]) then return other_layout() end
for at = 1, ahead do record(asked[at][1], read[at + 4]) end
if read[4] then taught = struct.unpack('<d', read[4]) end
expire()
if epoch_said ~= epoch then return commit({EPOCH, epoch}) end
if learning == 1 then return commit({LEARNING, max(0, learn[1] + LEARN + 1 - l)}) end
if dead[inc] or not read[2] then return is_gone() end
local exp, d_head, d_end, told = struct.unpack('<dddd', read[2])
if l > exp and l - l_ack > TTL / 2 then return commit({DENIED, NEXT_SYNC, 0, 0, 0}) end

-- Pacing counts in ticks of 2^-20 ms: what is left of a meter's level; what an amount costs (core/meter.rs).
local function drained(v, b) return max(0, v[b + LEVEL] - (l - v[b + LEVEL_AT]) * TICKS) end
local function cost(v, b, amount)
  return math.ceil(amount * (v[b + WIDTH] * v[b + BUCKETS] * TICKS) / v[b + CAP])
end

-- When `excess` units will have left meter i's window, the holds staying as they are; and whether that is known.
local function room_at(p, i, excess)
  local v, b = p.v, base(i)
  local last, n, left = v[b + LAST], slots(v, b), 0
  if n > 0 then
    local r, offset = ring(p, i)
    local image = v[b + IMAGE_SUM] > 0 and ring(p, i, 'image')
    for age = min(n - 1, last), 0, -1 do
      local bucket = last - age
      if age == 0 then left = left + v[b + CUR] else left = left + r[offset + bucket % n] end
      if image then left = left + image[offset + bucket % n] end
      if left >= excess then return (bucket + n) * v[b + WIDTH], true end
    end
  end
  -- Head holds are posted in full, with the next SYNC at best, and leave with its bucket; others give back what they do not use.
  if n > 0 and v[b + STAGE] == 0 then return (floor((l + NEXT_SYNC) / v[b + WIDTH]) + n) * v[b + WIDTH], false end
  return l + UNKNOWN_WAIT, false
end

-- How far each meter of a pool that starts slowly may be used: since when, then the tops (core/slow.rs).
local function started(p, from, factor, per)
  local v, s = p.v, redis.call('HGET', key, 's:' .. p.key)
  local known = s and doubles(s, 1 + p.n)
  local passed = known and floor((l - known[1]) / per)
  if passed == 0 then return known end
  local start = {known and known[1] + passed * per or l}
  for i = 0, p.n - 1 do
    local b, top = base(i), 0
    local cap = v[b + CAP]
    local used = min(cap, v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD])
    if known then
      top = min(cap, known[i + 2])
      for _ = 2, min(passed, PERIODS) do top = floor(top * 1000 / factor) end
      if 2 * used >= top then top = math.ceil(top * factor / 1000) else top = floor(top * 1000 / factor) end
    end
    top = min(cap, max(top, math.ceil(used * factor / 1000), math.ceil(cap * from / 1000), 1))
    start[i + 2] = v[b + WIDTH] * v[b + BUCKETS] > SLOW and cap or top
  end
  put['s:' .. p.key] = packed(start, 1 + p.n)
  return start
end
for at = 1, #slow, 4 do asked[slow[at]].slow = at end

-- How a set of draws fits in so much of the caps: {share} | {nil, at, exact, pool} | {nil, nil, nil, pool, meter}.
local function fits(draws, upto, yields)
  local share, at, exact, where = 0, nil, true, nil
  for _, draw in ipairs(draws) do
    local decl = asked[draw[1] + 1]
    local p = touch(decl)
    local v = p.v
    local starts = decl.slow and p.n > 0 and (p.start or started(p, slow[decl.slow + 1], slow[decl.slow + 2], slow[decl.slow + 3]))
    p.start = starts
    if v[REST] > l and (not at or v[REST] > at) then at, where = v[REST], draw[1] end
    for i = 0, p.n - 1 do
      local b, amount, pace = base(i), draw[i + 2], decl[5 * i + 6]
      if amount > 0 then -- else nothing is asked of it, however full it is
        local cap = v[b + CAP]
        if amount > cap then return {nil, nil, nil, draw[1], i} end
        local used = v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD] + amount
        local wait, known, most = l, true, cap
        local said, since, lasts, more
        if l < taught then most, said, since, lasts = bound(p, i) end
        if starts and max(starts[i + 2], amount) < most then
          most, said, more = max(starts[i + 2], amount), nil, starts[1] + slow[decl.slow + 3]
        end
        local top = upto < 1000000 and min(most, max(amount, floor(most * upto / 1000000))) or most
        if used > top then
          wait, known = room_at(p, i, used - top)
          if most < cap then known = false end -- what was learned may change
          if top == most and more and used <= cap then
            wait = min(wait, max(l + 1, more))
          elseif top == most and said and used <= cap then
            wait = min(wait, max(l + 1, since + math.ceil(lasts * math.sqrt((used - said) / (cap - said)))))
          end
        end
        if pace > 0 then
          local over = max(0, drained(v, b) - max(0, pace * TICKS - cost(v, b, amount)))
          wait = max(wait, l + math.ceil(over / TICKS))
        end
        if used <= top and wait <= l and used > amount and floor(used * 1000000 / most) > yields then
          wait, known = l + YIELDED, false
        end
        if used > top or wait > l then
          exact = exact and known
          if not at or wait > at then at, where = wait, draw[1] end
        else
          local part = used * 1000000 / most
          if part > share then share = part end
        end
      end
    end
  end
  if at then return {nil, at, exact, where} end
  return {floor(share)}
end

-- Circuits that are not plainly closed (common.lua); mostly there are none.
local circuits = read[3] and doubles(read[3], #read[3] / 8)
if circuits then circuits[#circuits] = nil end
local permit = 0

-- How a candidate fits, and what its circuits say: nothing if they are closed (core/circuit.rs).
local yields = 1000000 -- what is above this share is left to others that wait
local function look(candidate)
  local fit = fits(candidate[4], upto, yields)
  for at = 1, circuits and #circuits or 0, 7 do
    local tag, account, cause = circuits[at], candidate[6]
    if tag == candidate[1] and candidate[5] == 1 then cause = 0
    elseif account > 0 and (tag == account or tag == account + 1) then cause = 1 + tag - account end
    local is_open, first, second = circuits[at + 1] == 1, circuits[at + 2], circuits[at + 3]
    if cause and is_open then
      fit.circuit = fit.circuit or {}
      fit.circuit[#fit.circuit + 1] = at
      if first <= l then
        fit.gate = fit.gate == OPEN and OPEN or PROBE
      elseif fit.gate ~= OPEN then
        fit.gate, fit.next, fit.lone, fit.cause = OPEN, first, second, cause
      else
        if first > fit.next or first == fit.next and cause < fit.cause then fit.next, fit.cause = first, cause end
        fit.lone = max(fit.lone, second)
      end
    elseif cause and not fit.gate and l - first < second and luck * second >= (l - first) * 1000000 then
      fit.gate = RAMP
    end
  end
  return fit
end

-- Lets a call through open circuits.
local function probe(open)
  for _, at in ipairs(open) do permit = max(permit, circuits[at + 4] + 1) end
  permit = max(l, permit)
  for _, at in ipairs(open) do
    circuits[at + 2], circuits[at + 3] = l + d_head, l + LONE
    circuits[at + 4] = permit
  end
  put['b'] = packed(circuits, #circuits)
end

-- Adds a draw to the caller's own counters; its list of pools grows when it meets one for the first time.
local function count(draw, n)
  local at = draw[1] + 1
  local pool, field, s = asked[at][1]
  if at <= counted then
    field, s = wanted[at + 4 + ahead], read[at + 4 + ahead]
  else
    field = 'c:' .. inc .. ':' .. pool
    s = redis.call('HGET', key, field)
  end
  local counters
  if s then
    counters = doubles(s, 3 * n)
  else
    counters = {}
    for i = 1, 3 * n do counters[i] = 0 end
    meet(pool)
  end
  for i = 1, n do counters[i] = counters[i] + draw[i + 1] end
  put[field] = packed(counters, 3 * n)
end

local function grant(draws)
  for _, draw in ipairs(draws) do
    local decl = asked[draw[1] + 1]
    local p = touch(decl)
    local v = p.v
    for i = 0, p.n - 1 do
      local amount, b = draw[i + 2], base(i)
      v[b + HOLD] = v[b + HOLD] + amount
      if decl[5 * i + 6] > 0 then
        v[b + LEVEL], v[b + LEVEL_AT] = drained(v, b) + cost(v, b, amount), l
      end
    end
    p.dirty = true
    if p.n > 0 then count(draw, p.n) end
  end
end

-- A reply, and what is to be told besides.
local seen = {}
local function tell(reply)
  local plain = reply[1] == GRANTED and reply[2] == 0 or reply[1] == DENIED and reply[5] == 1
  local all = why == 1 or seen[1] and not plain
  if left == 0 and not all and permit == 0 and not reply.used then return commit(reply) end
  local rest, verdicts = {}, {}
  if left > 0 then
    local p = touch(asked[left])
    for i = 0, p.n - 1 do
      local v, b = p.v, base(i)
      rest[i + 1] = max(0, v[b + CAP] - v[b + SUM] - v[b + IMAGE_SUM] - v[b + HOLD])
    end
  end
  for index = 1, all and #candidates or 0 do
    local fit, at = seen[index], 3 * index - 2
    verdicts[at], verdicts[at + 1], verdicts[at + 2] = 0, 0, 0
    if fit and not fit[1] and not fit[2] then
      verdicts[at], verdicts[at + 2] = 3, fit[4]
    elseif fit and fit.gate == OPEN then
      verdicts[at], verdicts[at + 1], verdicts[at + 2] = 4, fit.next - l, fit.cause
    elseif fit and fit[1] then
      verdicts[at], verdicts[at + 1] = fit.gate == RAMP and 5 or 1, fit[1]
    elseif fit then
      verdicts[at], verdicts[at + 1], verdicts[at + 2] = 2, fit[2] - l, fit[4]
    end
  end
  reply[6], reply[7] = rest, verdicts
  if permit > 0 or reply.used then reply[8] = permit end
  reply[9], reply.used = reply.used, nil
  return commit(reply)
end

local shared = fits(common, 1000000, 1000000)
if not shared[1] and not shared[2] then return commit({TOO_BIG, shared[4], shared[5]}) end
local function denied(fit, common) return tell({DENIED, fit[2] - l, fit[3] and 1 or 0, fit[4], common}) end

-- Where the call stands among others (core/fair.rs).
local line, place
if line_key then
  local s = redis.call('GET', line_key)
  local known = s and doubles(s, #s / 8) or {0, 0, 0}
  known[#known] = nil
  if known[2] <= l then known = {0, 0} end
  line = {known[1], l + FORGOTTEN}
  local oldest, since
  for at = 3, #known, 6 do
    if known[at + 5] + IDLE > l then
      local n = #line
      for i = 0, 5 do line[n + 1 + i] = known[at + i] end
      if known[at] == turn[1] and known[at + 1] == turn[2] then place = n + 1 end
      if not since or known[at + 5] < since then oldest, since = n + 1, known[at + 5] end
    end
  end
  if not place then
    if #line == 2 + 6 * FLOWS then
      for _ = 1, 6 do table.remove(line, oldest) end
    end
    place = #line + 1
    line[place], line[place + 1], line[place + 2], line[place + 3], line[place + 4] = turn[1], turn[2], 0, 0, 0
  end
  if line[place + 3] <= l then
    local least
    for at = 3, #line, 6 do
      if line[at + 3] > l and (not least or line[at + 2] < least) then least = line[at + 2] end
    end
    line[place + 2] = max(line[place + 2], least or line[1])
  end
  line[place + 5] = l
  for at = 3, #line, 6 do
    local rank = line[at + 1]
    if at ~= place and line[at + 3] > l
      and (rank < turn[2] or rank == turn[2] and line[at + 2] + AHEAD * turn[3] < line[place + 2]) then
      yields = min(yields, math.abs(line[at + 4] - l) <= GRACE and 0 or YIELD)
    end
  end
end

-- The call was served, or waits for room until then, or neither.
local function note_turn(served, at)
  if not line then return end
  if served then
    line[1] = max(line[1], line[place + 2])
    line[place + 2] = line[place + 2] + turn[3]
    if turn[5] == 1 then
      line[place + 3], line[place + 4] = l + WAITS, l
    else -- others of it may wait at other replicas: they ask by then
      line[place + 3] = min(line[place + 3], l + ASKS)
    end
  elseif at and turn[4] == 1 then
    line[place + 3], line[place + 4] = l + WAITS, min(at, l + ASKS)
  end
  redis.call('SET', line_key, packed(line, #line), 'PX', 2 * FORGOTTEN)
end

local pin_tag, pin_version, pin_expires
local version = 0
if pin_key then
  local s = redis.call('GET', pin_key)
  if s then
    pin_tag, version, pin_expires = struct.unpack('<ddd', s)
    if pin_expires > l then pin_version = version else pin_tag = nil end
  end
end

-- The session is there from now on (core/moves.rs).
local function note_move(tag)
  local known = list('z')
  local moves = {known[1] or 0}
  for at = 2, #known, 3 do
    local n = #moves
    if known[at] + MOVED >= l then moves[n + 1], moves[n + 2], moves[n + 3] = known[at], known[at + 1], known[at + 2] end
  end
  local n = #moves
  moves[n + 1], moves[n + 2], moves[n + 3] = l, string.match(pin_key, '[^:]*$'), tag
  if n >= 1 + 3 * MOVES then
    moves[1] = moves[2]
    for _ = 1, 3 do table.remove(moves, 2) end
  end
  put['z'] = cmsgpack.pack(moves)
end

local function chosen(index, share)
  note_turn(not shared[2])
  if shared[2] then return denied(shared, 1) end
  if l > exp then put['i:' .. inc] = struct.pack('<dddd', l, d_head, d_end, told) end
  local candidate = candidates[index]
  grant(common)
  grant(candidate[4])
  if seen[index].circuit then probe(seen[index].circuit) end
  write_met()
  local reply = {GRANTED, index - 1, 0, max(share, shared[1]), l}
  if used_too == 1 then
    reply.used = {}
    for _, draw in ipairs(candidate[4]) do
      local p = touch(asked[draw[1] + 1])
      for i = 0, p.n - 1 do
        local v, b = p.v, base(i)
        local n = #reply.used
        reply.used[n + 1], reply.used[n + 2] = v[b + SUM] + v[b + IMAGE_SUM] + v[b + HOLD], v[b + POSTED] + v[b + HOLD]
      end
    end
  end
  if not pin_key then return tell(reply) end
  local tag, expires = candidate[1], l + ttl
  if pin_tag == tag then
    reply[3] = 1
    if pin_expires + floor(ttl / 4) > expires then return tell(reply) end
  else
    reply[3] = pin_tag and 3 or 2
    version = version + 1
    if pin_tag then note_move(tag) end
  end
  local answer = tell(reply)
  redis.call('SET', pin_key, struct.pack('<ddd', tag, version, expires), 'PX', ttl + 60000)
  return answer
end

-- The share of a candidate that may be taken before others.
local function open(index)
  local fit = seen[index] or look(candidates[index])
  seen[index] = fit
  if fit.gate ~= RAMP and fit.gate ~= OPEN then return fit[1] end
end

-- For whom a session leaves that can stay (core/reserve/kin.rs).
local function cheaper(pinned)
  for index = 1, kin and pinned - 1 or 0 do
    if candidates[index][2] >= candidates[pinned][2] then return end
    if kin[5 * index + 3] < kin[5 * pinned + 4] then
      local share = open(index)
      if share and share <= kin[2] then return index, share end
    end
  end
end

-- Where a session goes that cannot stay (core/reserve/kin.rs).
local function next_home(model, provider)
  local function set(index) return kin[5 * index + 2] end
  local first = 1
  while candidates[first] do
    local last, shares, under, least = first, {}, nil, nil
    while candidates[last] and candidates[last][2] == candidates[first][2] do
      local share = open(last)
      shares[last] = share
      if share and not under and share <= candidates[last][3] then under = last end
      if share and (not least or share < least) then least = share end
      last = last + 1
    end
    local best, nearness
    for index = first, least and last - 1 or 0 do
      local share, equal = shares[index], false
      if share and under then equal = share <= candidates[index][3] and set(index) == set(under)
      elseif share then equal = share <= least + kin[1] end
      if equal then
        local near = kin[5 * index] == model and model > 0 and 2 or 0
        if kin[5 * index + 1] == provider and provider > 0 then near = near + 1 end
        if not best or near > nearness or near == nearness and not under and share < shares[best] then
          best, nearness = index, near
        end
      end
    end
    if best then return best, shares[best] end
    first = last
  end
end

local pinned
if pin_tag then
  for index, candidate in ipairs(candidates) do
    if candidate[1] == pin_tag then
      local fit = look(candidate)
      seen[index] = fit
      if fit[1] and not fit.circuit then
        local other, share = cheaper(index)
        return chosen(other or index, share or fit[1])
      end
      pinned = index
      break
    end
  end
end
if kin and (pinned or kin[3] > 0) then
  local home = pinned and 5 * pinned or 3
  local index, share = next_home(kin[home], kin[home + 1])
  if index then return chosen(index, share) end
end
local least, least_share                          -- to be taken before others
local ramp, ramp_share, wait, opens, lone, soonest, never, guessed -- what is left (core/reserve.rs)
for index, candidate in ipairs(candidates) do
  local fit = seen[index] or look(candidate)
  seen[index] = fit
  if not fit[1] and not fit[2] then
    never = never or fit
  elseif fit.gate == OPEN then
    if not opens or max(fit.next, fit[2] or l) < opens then opens = max(fit.next, fit[2] or l) end
    if not soonest or max(fit.lone, fit[2] or l) < soonest then soonest = max(fit.lone, fit[2] or l) end
    if fit[1] and fit.lone <= l then lone = lone or index end
  elseif fit[2] then
    guessed = guessed or not fit[3]
    if not wait or fit[2] < wait[2] then wait = fit end
  elseif fit.gate == RAMP then
    if not ramp or fit[1] < ramp_share then ramp, ramp_share = index, fit[1] end
  else
    if fit[1] <= candidate[3] then return chosen(index, fit[1]) end
    if not least or fit[1] < least_share then least, least_share = index, fit[1] end
  end
  local following = candidates[index + 1]
  if least and (not following or following[2] ~= candidate[2]) then return chosen(least, least_share) end
end
if ramp then return chosen(ramp, ramp_share) end
if not wait and lone then return chosen(lone, seen[lone][1]) end
local circuit = wait and opens or soonest
if circuit and (not wait or circuit < wait[2]) then wait = {nil, circuit, false, 0, whose = 2} end
if wait and guessed then wait = {nil, wait[2], false, wait[4], whose = wait.whose} end
note_turn(false, wait and not shared[2] and wait.whose ~= 2 and wait[2])
if wait and shared[2] then -- room on both is needed: the later time counts
  local exact = wait[3] and shared[3]
  local later = wait[2] > shared[2] and wait or shared
  return denied({nil, later[2], exact, later[4]}, later == shared and 1 or wait.whose or 0)
end
if wait then return denied(wait, wait.whose or 0) end
if never then return commit({TOO_BIG, never[4], never[5]}) end
if shared[2] then return denied(shared, 1) end
return tell({DENIED, 0, 0, 0, 0})
