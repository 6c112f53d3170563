// What a browser kept of named filters.
import { deleteView, saveView, views, viewsIn } from '../../../dashboard/web/app/views.ts'

const view = (name: string, filter = 'state:buried') => ({ name, queue: 'test/mail', filter })

test.each([
  ['nothing', '', []],
  ['no JSON', '{', []],
  ['something else', '{"name":"a"}', []],
  ['views among other things', JSON.stringify([view('a'), null, 3, { name: 'b' }, view('c')]), ['a', 'c']],
])('%s is read as the views that are there', (_, text, names) =>
  expect(viewsIn(text).map(({ name }) => name)).toEqual(names),
)

test('no more than 50 are kept', () => {
  const many = Array.from({ length: 60 }, (_, n) => view(`${n}`))
  expect(viewsIn(JSON.stringify(many))).toHaveLength(50)
})

test('a view takes the place of the one with its name, and they are in order', () => {
  for (const name of ['late', 'early', 'late']) saveView(view(name, `task:${name}`))
  saveView(view('early', 'state:held'))
  expect(views.value.map(({ name, filter }) => [name, filter])).toEqual([
    ['early', 'state:held'],
    ['late', 'task:late'],
  ])
  deleteView('early')
  expect(views.value.map(({ name }) => name)).toEqual(['late'])
})
