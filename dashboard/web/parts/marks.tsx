// The key and the tags of a job: each leads to the jobs that have it too.
import { to } from '../app/router.ts'
import { Name } from './show.tsx'

export function Marks({ of, queue }: { of: { key?: string; tags?: readonly string[] }; queue: string }) {
  const { key, tags = [] } = of
  const marks = [
    ...(key === undefined ? [] : [['key', key] as const]),
    ...tags.map((tag) => ['tag', tag] as const),
  ]
  return (
    <span class="marks">
      {marks.map(([field, name]) => (
        <a
          key={`${field}:${name}`}
          class="chip"
          href={to(['jobs'], { queue, f: `${field}:${name}` })}
          title={`Jobs with this ${field}`}
        >
          {field === 'key' && <span class="muted">key</span>}
          <Name of={name} />
        </a>
      ))}
    </span>
  )
}
