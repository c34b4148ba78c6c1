-- Appends messages to a history, and publishes each with its position. Returns the offset of the first one, the epoch,
-- and of each how many connections have got it.
-- KEYS: the stream, its position (a hash that outlives the stream), the topic
-- ARGV: the command to publish with ('': none), entries to keep, seconds to keep them, seconds to keep the position, the
--       epoch of a history that begins; then of each message what stands before its position, and what stands after it
--       ('': the position is not written into it)
local heads, tails, command = {}, {}, ARGV[1]
for i = 6, #ARGV, 2 do heads[#heads + 1], tails[#tails + 1] = ARGV[i], ARGV[i + 1] end
local first, epoch, texts = record(KEYS[1], KEYS[2], heads, tails, ARGV[2], ARGV[3], ARGV[4], ARGV[5])
local answers = {first, epoch}
for i, text in ipairs(texts) do
  answers[i + 2] = command == '' and 0 or redis.call(command, KEYS[3], text)
end
return answers
