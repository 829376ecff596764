-- For wrk: sends ready requests, one after the other, from a file whose first line says how long each is.
-- The second argument is how many to leave out at the beginning of the first round. Prints one line for the benchmark to read.

local requests = {}
local next_one = 0

function init(args)
    local file = assert(io.open(args[1], "rb"))
    for length in file:read("*l"):gmatch("%d+") do
        requests[#requests + 1] = file:read(tonumber(length))
    end
    file:close()
    next_one = tonumber(args[2])
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end

function done(summary, latency)
    local errors = summary.errors
    print(string.format("measured %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
