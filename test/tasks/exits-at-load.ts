process.stderr.write('last words\n')
process.exit(3)
