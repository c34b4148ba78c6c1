-- Sends one message to every live member of a group: one entry per receiving process. Returns {members served,
-- members whose queue is full, members served that are of the sender's own lease, messages that had expired}.
-- An entry ends with its receivers: the names of the members, or, where every member has been counted by its
-- process (census.py), what the process needs to know them by: the group, and the version of its count.
-- One round trip; it derives keys from members, so it is for groups and queues that are on one server.
-- With a history the message is recorded too (record.lua), and its position is written into the head. Then a process
-- whose members are all excluded gets an entry without receivers: it has to know how far the history has come.
-- KEYS: group, leases, census, and with a history: its stream, its position
-- ARGV: score, expiry in s, group expiry in s, prefix, capacity of a plain channel, of a shared queue, its bytes, head,
--       tail, codec ('msgpack' or 'json'), the sender's own lease ('' for none), the group, with a history: where the
--       position is written into the head, entries to keep, seconds to keep them, seconds to keep the position, the
--       epoch of a history that begins; then excluded channels...
local cutoff = now - tonumber(ARGV[2])
local score = score_of(ARGV[1], ARGV[2])
local pack = ARGV[10] == 'json' and cjson.encode or cmsgpack.pack
local served, full, own, expired = 0, 0, 0, 0
local head, exclusions = ARGV[8], 13
local nobody = ARGV[10] == 'json' and '[]' or '\144' -- an empty table would be a dict in JSON
if KEYS[4] then
  local at, rest = tonumber(ARGV[13]), pack({}) .. ARGV[9]
  local before, after = head .. rest, ''
  if at >= 0 then before, after = string.sub(head, 1, at), string.sub(head, at + 33) .. rest end
  local _, _, texts = record(KEYS[4], KEYS[5], {before}, {after}, ARGV[14], ARGV[15], ARGV[16], ARGV[17])
  head, exclusions = string.sub(texts[1], 1, -#rest - 1), 18
end

local function put(queue, count, receivers, most)
  local lease = string.match(queue, '([^.]*)!$')
  local ends = lease and redis.call('ZSCORE', KEYS[2], lease)
  if ends and tonumber(ends) < now then return end
  local names, capacity = next(receivers) and pack(receivers) or nobody, tonumber(ARGV[5])
  local key, entry = ARGV[4] .. queue, head .. names .. ARGV[9]
  local limit = lease and math.max(capacity, math.min(most, math.floor(ARGV[7] / #entry))) or capacity
  if redis.call('ZCOUNT', key, '(' .. cutoff, '+inf') < limit then
    redis.call('ZADD', key, score, entry) -- the first to write: then a Redis without memory refuses
    expired = expired + redis.call('ZREMRANGEBYSCORE', key, 0, cutoff)
    redis.call('EXPIRE', key, ARGV[2])
    served = served + count
    if lease == ARGV[11] then own = own + count end
  else
    full = full + count
  end
end

local oldest = now - tonumber(ARGV[3])
local counts = redis.call('HGETALL', KEYS[3])
local counted = 0
for i = 2, #counts, 2 do counted = counted + tonumber(string.match(counts[i], '^%d+')) end
if counted > 0 and counted == redis.call('ZCOUNT', KEYS[1], '(' .. oldest, '+inf') then
  local excluded = {}
  for i = exclusions, #ARGV do
    local queue = string.match(ARGV[i], '^[^!]*!')
    if queue and redis.call('ZSCORE', KEYS[1], ARGV[i]) then
      excluded[queue] = excluded[queue] or {}
      table.insert(excluded[queue], ARGV[i])
    end
  end
  for i = 1, #counts, 2 do
    local queue = counts[i]
    local count, version = string.match(counts[i + 1], '^(%d+):(%d+)$')
    local but = excluded[queue]
    count = tonumber(count) - (but and #but or 0)
    if count > 0 or KEYS[4] then
      put(queue, count, {group = ARGV[12], version = tonumber(version), but = but}, tonumber(ARGV[6]))
    end
  end
else
  -- True if a process follows the history that reads this queue: those with channels_redis have no lease.
  local function follows(queue)
    local lease = KEYS[4] and string.match(queue, '([^.]*)!$')
    return lease and redis.call('ZSCORE', KEYS[2], lease)
  end

  local excluded = {}
  for i = exclusions, #ARGV do excluded[ARGV[i]] = true end
  local queues, names_of = {}, {}
  for _, channel in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. oldest, '+inf')) do
    local mark = string.find(channel, '!', 1, true)
    local queue = mark and string.sub(channel, 1, mark) or channel
    if not excluded[channel] or follows(queue) then
      local names = names_of[queue] or {}
      if not names_of[queue] then
        names_of[queue] = names
        queues[#queues + 1] = queue
      end
      if not excluded[channel] then names[#names + 1] = channel end
    end
  end
  for _, queue in ipairs(queues) do
    local names = names_of[queue]
    -- fewer entries where each has many names, so that a process that hangs costs no more memory
    put(queue, #names, names, tonumber(ARGV[6]) / math.max(#names, 1))
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, oldest)
return {served, full, own, expired}
