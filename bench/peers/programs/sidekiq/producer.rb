# Enqueues with Sidekiq's client: carries out the orders of the bench; see Order and Answer in bench/peer.ts.
require 'json'
require_relative 'job'

THREADS = 10
PACING_THREADS = 32

# Producers with several threads need a connection for each.
Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('BENCH_REDIS_URL'), size: PACING_THREADS } }

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

def timed
  started_at_micros = now_micros
  began = now
  more = yield(began)
  answer = { ms: (now - began) * 1e3, startedAtMicros: started_at_micros }
  more.is_a?(Hash) ? answer.merge(more) : answer
end

def in_threads(count)
  Array.new(count) { Thread.new { yield } }.each(&:join)
end

def concurrent(numbers, payload, width)
  numbers.each_slice(width) do |some|
    todo = Queue.new(some).close
    in_threads(THREADS) do
      while (n = todo.pop)
        BenchJob.perform_async(n, payload)
      end
    end
  end
end

def paced(from, payload, due, began)
  todo = Queue.new(due.each_with_index.to_a).close
  in_threads(PACING_THREADS) do
    while (turn = todo.pop)
      wait = began + turn[0] / 1e6 - now
      sleep wait if wait > 0
      BenchJob.perform_async(from + turn[1], payload)
    end
  end
end

def spaced(numbers, payload, gap_ms)
  latencies = []
  called = []
  numbers.each do |n|
    sleep gap_ms / 1e3
    called << now_micros
    began = now
    BenchJob.perform_async(n, payload)
    latencies << (now - began) * 1e3
  end
  { latenciesMs: latencies, calledAtMicros: called }
end

def bulk(numbers, payload, more = {})
  Sidekiq::Client.push_bulk({ 'class' => BenchJob, 'args' => numbers.map { |n| [n, payload] } }.merge(more))
end

NO_RESULTS = { unsupported: 'keeps no results' }.freeze

def carry_out(order)
  from, payload, batch = order.values_at('from', 'payload', 'batch')
  numbers = (from...from + order.fetch('count', 0))
  case order['do']
  when 'one-by-one' then timed { numbers.each { |n| BenchJob.perform_async(n, payload) } }
  when 'concurrent' then timed { concurrent(numbers, payload, order['width']) }
  when 'bulk' then timed { numbers.each_slice(batch) { |some| bulk(some, payload) } }
  when 'delayed'
    at = { 'at' => order['dueAtMs'] / 1e3 }
    timed { numbers.each_slice(batch) { |some| bulk(some, payload, at) } }
  when 'paced'
    due = File.readlines(order['schedule']).map(&:to_i)
    timed { |began| paced(from, payload, due, began) }
  when 'spaced'
    order['awaits'] == 'result' ? NO_RESULTS : timed { spaced(numbers, payload, order['gapMs']) }
  else NO_RESULTS
  end
end

Sidekiq.redis(&:ping)
say_ready
$stdin.each_line do |line|
  $stdout.puts JSON.generate(carry_out(JSON.parse(line)))
  $stdout.flush
end
exit!
