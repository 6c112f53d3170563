import { parseJson, reprinted } from '../../cli/src/json-input.ts'

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

test.each([
  ['{"id":9007199254740993}', '9007199254740993', '9007199254740992'],
  ['[1e400]', '1e400', 'Infinity'],
  ['-1e-400', '-1e-400', '0'],
])('a number of %s that JavaScript cannot hold is refused', (text, number, become) => {
  expect(() => parseJson(text, 'the input')).toThrow(
    `the input has the number ${number}, which a task would get as ${become}: write it as a string`,
  )
})

test.each([
  '9007199254740991',
  '-0',
  '1.50',
  '3.14159265358979323846',
  '1e5',
  '0e5',
  '100000000000000000000',
])('the number %s is taken', (text) => expect(parseJson(text, 'the input')).toBe(Number(text)))

test('what is read from Redis is printed with the numbers that are there', () => {
  const text = '{"id":9007199254740993,"e":1e400,"x":[0.5,"9007199254740993"]}'
  expect(JSON.stringify(reprinted(text))).toBe(text)
})
