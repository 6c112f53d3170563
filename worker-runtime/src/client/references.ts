// References to results of a flow: values of a plan that stand in JSON for what is not there yet (flow.ts). A
// script puts the results in their places (queue/lua/flow.lua), so no other value may look like one.
import { referencesIn } from '../queue/flows.ts'

/** The names in the references that the JSON has which is being made. */
let written: (readonly string[])[] = []

/**
 * `json` stands for the results of the jobs with these names. Whoever reads a field of it, as of a result
 * that is not there yet, hears of that.
 */
export function reference(json: string, names: readonly string[]): unknown {
  const value = JSON.parse(json)
  return new Proxy(Object.create(null), {
    get(_, field) {
      if (field !== 'toJSON')
        throw new TypeError(
          `the result of a job of a flow has no fields before the job has run (${String(field)} was read): pass it as a whole`,
        )
      return () => {
        written.push(names)
        return value
      }
    },
  })
}

/**
 * Makes JSON with references in it, and answers the names of the jobs that it refers to. Throws TypeError
 * where a value that is none would be taken for one.
 */
export function referring<T>(
  what: string,
  make: () => T,
  jsonOf: (made: T) => string,
): { made: T; names: ReadonlySet<string> } {
  written = []
  const made = make()
  if (referencesIn(jsonOf(made)) !== written.length)
    throw new TypeError(
      `${what} has an object with the one field "millhand:result", "millhand:results" or "millhand:added", which are for references: name the field otherwise`,
    )
  return { made, names: new Set(written.flat()) }
}
