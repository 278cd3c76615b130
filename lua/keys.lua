-- A key of a tenant that was made at run time is made or changed: of what replicas know of it the newest stays, and one that is
-- revoked stays revoked, whoever tells it and in whichever order; so a data set that has lost keys learns them again. A change gives a
-- key the version after the one that it was made from: of two that were made from the same one the first stays, and the second is told
-- so, to begin anew. Only where replicas tell again what they know may one version be two changes, of histories that were split: there
-- a number that was drawn for each decides, everywhere alike.
-- Each change here has a number and a nonce, by which replicas find what is new to them, and whether this is the history that they know.
-- KEYS[1]  HASH, no TTL   k:ID  the key: its version, 1 if it is revoked or 0, the number drawn, what it is (JSON), with spaces between
--                         v     how many changes there were, a space, the nonce of the last
--                         c:N   of change N its nonce, a space, the id; only of the last ones
-- ARGV     id, version, '1' if revoked or '0', the number drawn, what it is; nonce, how many changes are listed; '1' if it is told again
--          or '0' if it is a change. Numbers below 2^53
-- Returns what is kept of the key. What cannot be read stays: who wrote it knows more.
local key, id, version, revoked, drawn, text = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local nonce, listed, again = ARGV[6], tonumber(ARGV[7]), ARGV[8] == '1'

local kept = redis.call('HGET', key, 'k:' .. id)
if kept then
  local kept_version, kept_revoked, kept_drawn = string.match(kept, '^(%d+) ([01]) (%d+) ')
  if not kept_version then return kept end
  local more = tonumber(version) - tonumber(kept_version)
  if again and more == 0 then more = tonumber(drawn) - tonumber(kept_drawn) end
  local is_newer = more > 0
  if revoked ~= kept_revoked then is_newer = revoked == '1' end
  if not is_newer then return kept end
end

kept = version .. ' ' .. revoked .. ' ' .. drawn .. ' ' .. text
local count = tonumber(string.match(redis.call('HGET', key, 'v') or '0', '^%d+')) + 1
local at = string.format('%.0f', count)
redis.call('HSET', key, 'k:' .. id, kept, 'v', at .. ' ' .. nonce, 'c:' .. at, nonce .. ' ' .. id)
redis.call('HDEL', key, 'c:' .. string.format('%.0f', count - listed))
return kept
