-- Write down connections of a server again, whatever the limits: after an outage, and now and then.
-- ARGV: prefix, server, expiry and expiry of groups in seconds, then id, record, user key, number of groups,
-- and the groups, for each connection. A connection that another server has meanwhile is left to it.
local server, expiry, group_expiry = ARGV[2], ARGV[3], ARGV[4]
local at = 5
while at <= #ARGV do
  local id, record, user, groups = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local keys = places(server, user)
  if groups > 0 then
    keys[#keys + 1] = GROUPS
    keys[#keys + 1] = P .. 'in:' .. id
  end
  for index = at + 4, at + 3 + groups do
    keys[#keys + 1] = P .. 'group:' .. ARGV[index]
  end
  local away = elsewhere(keys)
  if away then
    return away -- those before are whole, and may be written again
  end
  local held = redis.call('HGET', CONNECTIONS, id)
  if not held or cjson.decode(held).s == server then
    enter(id, record, server, user, expiry)
    for index = at + 4, at + 3 + groups do
      join(id, ARGV[index], group_expiry)
    end
  end
  at = at + 4 + groups
end
return 1
