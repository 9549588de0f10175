# A kernel reads its operands within the call that uses them: TRY stands inside TRY here.
target_compile_options(hearth_graphs PRIVATE -Wno-shadow)
