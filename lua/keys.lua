-- A key of a tenant that was made at run time is made or changed: of what replicas know of it the newest stays, and one that is
-- revoked stays revoked, whoever tells it and in whichever order; so a data set that has lost keys learns them again.
-- Each change has a number and a nonce, by which replicas find what is new to them, and whether this is the history that they know.
-- KEYS[1]  HASH, no TTL   k:ID  the key: its version, 1 if it is revoked or 0, what it is (JSON), with spaces between
--                         v     how many changes there were, a space, the nonce of the last
--                         c:N   of change N its nonce, a space, the id; only of the last ones
-- ARGV     id, version, '1' if revoked or '0', what it is, nonce, how many changes are listed
-- Returns what is kept of the key.
local key, id, version, revoked, text, nonce, listed = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local kept = redis.call('HGET', key, 'k:' .. id)
local kept_version, kept_revoked = 0, '0'
if kept then
  local number, mark = string.match(kept, '^(%d+) ([01]) ')
  kept_version, kept_revoked = tonumber(number), mark
end
local is_newer = tonumber(version) > kept_version
if revoked ~= kept_revoked then is_newer = revoked == '1' end
if not is_newer then return kept end

kept = version .. ' ' .. revoked .. ' ' .. text
local count = tonumber(string.match(redis.call('HGET', key, 'v') or '0', '^%d+')) + 1
local at = string.format('%.0f', count)
redis.call('HSET', key, 'k:' .. id, kept, 'v', at .. ' ' .. nonce, 'c:' .. at, nonce .. ' ' .. id)
redis.call('HDEL', key, 'c:' .. string.format('%.0f', count - tonumber(listed)))
return kept
