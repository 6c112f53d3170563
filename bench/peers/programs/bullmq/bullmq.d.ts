// The types of BullMQ that the programs here use. The package itself is in the cache, where the programs run.
declare module 'bullmq' {
  export interface Connection {
    host: string
    port: number
  }
  export interface Job<T> {
    data: T
    attemptsMade: number
    waitUntilFinished(events: QueueEvents): Promise<unknown>
  }
  export class Queue<T = unknown> {
    constructor(name: string, options: { connection: Connection })
    waitUntilReady(): Promise<unknown>
    add(name: string, data: T, options?: { delay?: number }): Promise<Job<T>>
    addBulk(jobs: { name: string; data: T; opts?: { delay?: number } }[]): Promise<Job<T>[]>
  }
  export interface FlowJob<T> {
    name: string
    queueName: string
    data: T
    children?: FlowJob<T>[]
  }
  export class FlowProducer {
    constructor(options: { connection: Connection })
    add<T>(flow: FlowJob<T>): Promise<unknown>
  }
  export class QueueEvents {
    constructor(name: string, options: { connection: Connection })
    waitUntilReady(): Promise<unknown>
  }
  export class Worker<T = unknown> {
    constructor(name: string, processor: string | ((job: Job<T>) => Promise<unknown>), options: object)
    waitUntilReady(): Promise<unknown>
    on(event: 'error', listener: (error: Error) => void): this
    close(): Promise<void>
  }
}
