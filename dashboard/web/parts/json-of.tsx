// The payload or the result of a job, asked for only when it is looked at.
import type { JsonText, Result } from '../../src/api.ts'
import { bytes } from '../app/numbers.ts'
import { useResource } from '../app/resource.ts'
import { Blank, Note, Shown } from './feedback.tsx'
import { JsonView } from './json.tsx'
import { Copy } from './show.tsx'

export function JsonOf({ path, what }: { path: string; what: 'payload' | 'result' }) {
  const answer = useResource<JsonText | Result>(path)
  return (
    <Shown of={answer} what={`the ${what}`}>
      {(value) => {
        const json = 'text' in value ? value : value.result
        return json ? <Json json={json} what={what} /> : <Blank title={`There is no ${what}`} />
      }}
    </Shown>
  )
}

function Json({ json, what }: { json: JsonText; what: string }) {
  if (json.text === '') return <Blank title={`The ${what} is undefined`} />
  return (
    <>
      <div class="card-head">
        <span class="muted small">
          {bytes(json.bytes)}
          {json.isCut && ', of which this is the beginning'}
          {json.isRedacted && ' · secrets are replaced'}
        </span>
        <span class="more">
          <Copy text={json.text} what={`the ${what}`} />
        </span>
      </div>
      {json.isCut && (
        <div class="card-body">
          <Note tone="retrying" icon="cut">
            The whole is larger than a page shows. The command line has it:{' '}
            <code>millhand job QUEUE ID --json</code>
          </Note>
        </div>
      )}
      <JsonView text={json.text} isCut={json.isCut} />
    </>
  )
}
