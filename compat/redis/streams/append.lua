-- Appends messages to a history, and publishes each with its position. Returns for each {offset, epoch, how many
-- connections have got it}.
-- KEYS: the stream, its position (a hash that outlives the stream), the topic
-- ARGV: the command to publish with ('': none), entries to keep, seconds to keep them, seconds to keep the position, the
--       epoch of a history that begins; then of each message its text, and where its position is written into it
--       (-1: nowhere)
local messages = {}
for i = 6, #ARGV, 2 do messages[#messages + 1] = {head = ARGV[i], at = tonumber(ARGV[i + 1]), rest = ''} end
local first, epoch = record(KEYS[1], KEYS[2], messages, ARGV[2], ARGV[3], ARGV[4], ARGV[5])
local answers = {}
for i, message in ipairs(messages) do
  answers[i] = {first + i - 1, epoch, ARGV[1] == '' and 0 or redis.call(ARGV[1], KEYS[3], message.placed)}
end
return answers
