// What operators, workers and Prometheus answer to HTTP: asked from inside the cluster's network, where their ports are.
import type { SharedCluster } from '../../cluster/shared.ts'

export interface Answer {
  status: number
  text: string
}

export async function ask(cluster: SharedCluster, url: string): Promise<Answer> {
  const [answer] = await askAll(cluster, [url])
  if (!answer) throw new Error(`no answer from ${url}`)
  return answer
}

/** In the order of the URLs. */
export async function askAll(cluster: SharedCluster, urls: readonly string[]): Promise<Answer[]> {
  const script = `Promise.all(process.argv.slice(1).map(async (url) => {
    const answer = await fetch(url)
    return { status: answer.status, text: await answer.text() }
  })).then((answers) => console.log(JSON.stringify(answers)), () => process.exit(1))`
  const asking = cluster.inside([process.execPath, '-e', script, ...urls], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  for await (const chunk of asking.stdout ?? []) output += chunk
  if (!output) throw new Error(`no answer from ${urls[0]}`)
  return JSON.parse(output)
}

/** The sum of the samples of one metric that carry all of these labels. */
export function sumOf(text: string, name: string, labels: Record<string, string> = {}): number {
  return samplesOf(text, name)
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

/** As Prometheus' text format has them, in its order. */
export function samplesOf(
  text: string,
  name: string,
): { labels: Record<string, string | undefined>; value: number }[] {
  return [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)]
    .filter(([, found]) => found === name)
    .map(([, , labels = '', value]) => ({
      labels: Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, of]) => [label, of]),
      ),
      value: Number(value),
    }))
}
