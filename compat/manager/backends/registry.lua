-- What all scripts of the registry share; each of them follows this text. Keys, after the prefix in ARGV[1]:
--   connections        hash    id -> {"s": server, "i": its name, "k": user key, "u": user, "a": address, "t": since}
--   servers            zset    server by the end of its lease, in milliseconds of this server's clock
--   reports            hash    server -> its statistics in JSON
--   server:<server>    set     ids of its connections
--   users, groups      zset    by how many connections they have
--   user:<key>, group:<key>    set of ids
--   in:<id>            set     groups of a connection
-- Servers use one Redis, or one slot of a cluster, so keys may be made of what other keys hold. A script that
-- writes several keys asks elsewhere() before it writes; what needs one key alone names that one, and need not.
local P = ARGV[1]
local CONNECTIONS, SERVERS = P .. 'connections', P .. 'servers'
local USERS, GROUPS = P .. 'users', P .. 'groups'

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function last(key, seconds)
  if tonumber(seconds) > 0 then
    redis.call('EXPIRE', key, seconds)
  end
end

-- Returns true if a server's lease is running.
local function lives(server, now)
  local until_ms = redis.call('ZSCORE', SERVERS, server)
  return until_ms and tonumber(until_ms) >= now
end

-- While a cluster moves the slot, each key is on one of two nodes, and neither knows whether a key that it does
-- not have is on the other one or nowhere. Both then refuse a command for several keys unless they have all.
-- Returns the error to end with if these keys (two or more) may not all be here, else nil.
local function elsewhere(keys)
  local found = redis.pcall('EXISTS', unpack(keys))
  if type(found) == 'number' then
    return nil
  elseif string.find(found.err, 'non local key', 1, true) then
    return redis.error_reply('TRYAGAIN a key may be on another node')
  end
  return found
end

-- The keys that have a connection, but for those of its groups.
local function places(server, user)
  local keys = {CONNECTIONS, P .. 'server:' .. server}
  if user ~= '' then
    keys[3], keys[4] = USERS, P .. 'user:' .. user
  end
  return keys
end

-- Write down how many there are in a set, in the ranking of its kind.
local function rank(ranking, name, count)
  if count == 0 then
    redis.call('ZREM', ranking, name)
  else
    redis.call('ZADD', ranking, count, name)
  end
end

-- Remove from a set, and from its ranking if it was the last. Returns 1 if it was in the set, and how many are
-- left. The set is counted first: one without members is no key, and may not be asked for while the slot moves.
local function take_out(set, id, ranking, name)
  local count = redis.call('SCARD', set)
  local removed = redis.call('SREM', set, id)
  rank(ranking, name, count - removed)
  return removed, count - removed
end

local function join(id, group, group_expiry)
  local added = redis.call('SADD', P .. 'group:' .. group, id)
  redis.call('SADD', P .. 'in:' .. id, group)
  last(P .. 'group:' .. group, group_expiry)
  last(P .. 'in:' .. id, group_expiry)
  rank(GROUPS, group, redis.call('SCARD', P .. 'group:' .. group))
  last(GROUPS, group_expiry)
  return added
end

local function leave(id, group)
  redis.call('SREM', P .. 'in:' .. id, group)
  return (take_out(P .. 'group:' .. group, id, GROUPS, group))
end

local function enter(id, record, server, user, expiry)
  redis.call('HSET', CONNECTIONS, id, record)
  redis.call('SADD', P .. 'server:' .. server, id)
  last(CONNECTIONS, expiry)
  last(P .. 'server:' .. server, expiry)
  if user ~= '' then
    redis.call('SADD', P .. 'user:' .. user, id)
    last(P .. 'user:' .. user, expiry)
    rank(USERS, user, redis.call('SCARD', P .. 'user:' .. user))
    last(USERS, expiry)
  end
end
