void Promise.reject(new Error('nobody awaited me'))
await new Promise((done) => setTimeout(done, 1_000))
export const nothing = 0
