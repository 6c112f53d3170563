// What becomes of the types of inputs, results and steps on their way through JSON (task.ts).
declare const notJson: unique symbol
/**
 * No value has this type: what the task takes here cannot come through JSON. Let it take a text, a number, or
 * a list.
 */
export interface NotJson<T> {
  readonly [notJson]: T
}
type Primitive = string | number | boolean | null
/** JSON makes an object without fields of them, or of their fields something else. */
type Opaque =
  | ReadonlyMap<never, unknown>
  | ReadonlySet<unknown>
  | WeakMap<never, unknown>
  | WeakSet<never>
  | RegExp
  | Error
  | Promise<unknown>
  | ArrayBuffer
type Any<T> = 0 extends 1 & T ? true : false

/**
 * The values that a task that takes `T` may be enqueued with, so that they are what it takes when they have
 * come through JSON.
 */
export type Sendable<T> =
  Any<T> extends true
    ? T
    : unknown extends T
      ? T
      : T extends Primitive | undefined
        ? T
        : T extends
              | bigint
              | symbol
              | Opaque
              | ArrayBufferView
              | { toJSON: unknown }
              | ((...args: never) => unknown)
          ? NotJson<T>
          : T extends object
            ? { [Key in keyof T]: Key extends symbol ? NotJson<T[Key]> : Sendable<T[Key]> }
            : T

/** A value of type `T` after JSON. */
export type Received<T> =
  Any<T> extends true
    ? T
    : unknown extends T
      ? T
      : [T] extends [never]
        ? never
        : T extends Primitive
          ? T
          : T extends { toJSON(...args: never): infer Json }
            ? Received<Json>
            : T extends Nothing | Dropped
              ? null
              : T extends bigint
                ? never
                : T extends Opaque
                  ? Record<string, never>
                  : T extends ArrayBufferView
                    ? Record<string, number>
                    : T extends readonly unknown[]
                      ? { [Key in keyof T]: Received<T[Key]> }
                      : T extends object
                        ? ReceivedObject<T>
                        : T

type Nothing = ReturnType<() => void>
type Dropped = undefined | symbol | ((...args: never) => unknown)
/** Fields that may be undefined may be absent; those that JSON always drops are not there. */
type ReceivedObject<T> = Flat<
  { [Key in keyof T as IsKept<Key, T[Key]> extends 'always' ? Key : never]: Received<T[Key]> } & {
    [Key in keyof T as IsKept<Key, T[Key]> extends 'sometimes' ? Key : never]?: Received<
      Exclude<T[Key], Dropped>
    >
  }
>
type IsKept<Key, Value> = Key extends symbol
  ? 'never'
  : Any<Value> extends true
    ? 'always'
    : unknown extends Value
      ? 'always'
      : [Value] extends [Dropped]
        ? 'never'
        : [Extract<Value, Dropped>] extends [never]
          ? 'always'
          : 'sometimes'
type Flat<T> = { [Key in keyof T]: T[Key] }
