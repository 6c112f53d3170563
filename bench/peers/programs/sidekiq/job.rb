# The job of Sidekiq's worker, and the record of its start: "<n> <µs since 1970>". Loaded by `sidekiq -r` and by producer.rb.
require 'sidekiq'

RECORDS = ENV.fetch('BENCH_RECORDS')
TASK = ENV.fetch('BENCH_TASK', 'no-op')
FLUSH_SECONDS = 0.05
SLEEP_SECONDS = 0.01

Sidekiq.logger.level = Logger::WARN

def now_micros
  Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
end

# Starts are kept for a moment: one write for many jobs.
module Records
  LINES = Queue.new

  def self.add(n)
    LINES << "#{n} #{now_micros}\n"
  end

  def self.write_soon
    Thread.new do
      loop do
        sleep FLUSH_SECONDS
        write
      end
    end
  end

  def self.write
    lines = Array.new(LINES.size) { LINES.pop }
    File.write(File.join(RECORDS, Process.pid.to_s), lines.join, mode: 'a') unless lines.empty?
  end
end

class BenchJob
  include Sidekiq::Worker

  def perform(n, _payload)
    Records.add(n)
    sleep SLEEP_SECONDS if TASK == 'sleeps'
  end
end

def say_ready
  $stdout.puts '{"ready":true}'
  $stdout.flush
end

Sidekiq.configure_client { |config| config.redis = { url: ENV.fetch('BENCH_REDIS_URL') } }

Sidekiq.configure_server do |config|
  config.redis = { url: ENV.fetch('BENCH_REDIS_URL') }
  config.on(:startup) do
    Records.write_soon
    Thread.new do
      $stdin.read
      Process.kill('TERM', Process.pid)
    end
    say_ready
  end
end

at_exit { Records.write }
