// The attempts that ended without success, the newest first: how each ended, with its error and its output.
import type { Attempt, Job } from '../../src/api.ts'
import { bytes } from '../app/numbers.ts'
import { errorHref } from '../app/queues.ts'
import { duration } from '../app/time.ts'
import { Blank } from './feedback.tsx'
import { Lines, Name, When } from './show.tsx'

export function Attempts({ job }: { job: Job }) {
  if (job.failures.length === 0)
    return (
      <Blank icon="good" title="No attempt has failed">
        {job.state === 'completed' && <p>It succeeded at once.</p>}
      </Blank>
    )
  const newestFirst = [...job.failures].reverse()
  // What ran before these is not kept; the one that runs or succeeded is not among them.
  const ended = job.attempts + job.crashes - (job.state === 'held' || job.state === 'completed' ? 1 : 0)
  return (
    <ol>
      {newestFirst.map((attempt, n) => (
        <One
          key={attempt.startedAtMs ?? n}
          job={job}
          attempt={attempt}
          number={Math.max(ended, job.failures.length) - n}
        />
      ))}
    </ol>
  )
}

function One({ job, attempt, number }: { job: Job; attempt: Attempt; number: number }) {
  const { error, output, outcome, message } = attempt
  return (
    <li class="attempt">
      <div class="attempt-head">
        <h2>Attempt {number}</h2>
        <span class="state s-buried">{outcome}</span>
        <When atMs={attempt.endedAtMs} />
        {attempt.group && (
          <a class="small" href={errorHref(`${job.namespace}/${job.queue}`, attempt.group)}>
            All that failed so
          </a>
        )}
      </div>
      <Facts attempt={attempt} />
      {error ? (
        <p>
          <span class="strong">{error.name}</span>: <Name of={error.message} />
          {error.code && <span class="muted"> · {error.code}</span>}
          {error.facts && <span class="muted"> · {error.facts}</span>}
        </p>
      ) : (
        message && <p>{message}</p>
      )}
      {error?.causes?.map((cause) => (
        <p key={cause} class="muted">
          caused by: {cause}
        </p>
      ))}
      {error?.stack && <Stack text={error.stack} />}
      {output && (
        <details open={!error?.stack}>
          <summary class="small muted">What it wrote last</summary>
          <Lines of={output} what="Output" />
        </details>
      )}
    </li>
  )
}

function Facts({ attempt }: { attempt: Attempt }) {
  const cpuMs = (attempt.cpuUserMs ?? 0) + (attempt.cpuSystemMs ?? 0)
  return (
    <p class="attempt-facts">
      {attempt.durationMs !== undefined && <span>ran {duration(attempt.durationMs)}</span>}
      {cpuMs > 0 && <span>processor {duration(cpuMs)}</span>}
      {attempt.maxRssBytes !== undefined && <span>memory {bytes(attempt.maxRssBytes)}</span>}
      {attempt.exitCode !== undefined && <span>exit code {attempt.exitCode}</span>}
      {attempt.signal && <span>signal {attempt.signal}</span>}
      {attempt.pod && (
        <span>
          pod <Name of={attempt.pod} />
        </span>
      )}
      {attempt.node && (
        <span>
          node <Name of={attempt.node} />
        </span>
      )}
      {attempt.worker && !attempt.pod && (
        <span>
          worker <Name of={attempt.worker} />
        </span>
      )}
    </p>
  )
}

/** Lines of packages and of Node stand back. */
function Stack({ text }: { text: string }) {
  return (
    <details open>
      <summary class="small muted">Stack</summary>
      <Lines of={text} what="Stack">
        {text.split('\n').map((line, n) => (
          <span key={n} class={/node_modules|node:|\(internal/.test(line) ? 'out-of-app' : undefined}>
            {line}
            {'\n'}
          </span>
        ))}
      </Lines>
    </details>
  )
}
