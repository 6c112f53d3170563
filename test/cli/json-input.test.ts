import { parseJson } from '../../cli/src/json-input.ts'

test.each(['null', '1', '"a"', '{"a":[1,2,{"b":null}]}', ' [] '])('%s is taken', (text) => {
  expect(parseJson(text, 'the input')).toEqual(JSON.parse(text))
})

test.each([
  ['{a:1}', 'line 1, column 2'],
  ["{'a':1}", 'line 1, column 2'],
  ['[1,2,]', 'line 1, column 6'],
  ['hello', 'line 1, column 1'],
  ['{"a": 1,\n "b": tru }', 'line 2, column 10'],
  ['{"a":1} x', 'line 1, column 9'],
  [`{"${'a'.repeat(100)}":\n\n  x, "${'b'.repeat(100)}": 1}`, 'line 3, column 3'],
  ['{"a":', 'line 1, column 6: it ends too early'],
  ['', 'line 1, column 1: it ends too early'],
])('what is wrong with %j is said with its place', (text, place) => {
  expect(() => parseJson(text, 'the input')).toThrow(`the input is not valid JSON at ${place}`)
})
