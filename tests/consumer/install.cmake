# cmake -DTREE=<build tree> -DSTAGE=<folder> -DCONFIG=<configuration> -P install.cmake
file(REMOVE_RECURSE ${STAGE}) # a file that is no longer installed must be missed
execute_process(COMMAND ${CMAKE_COMMAND} --install ${TREE} --prefix ${STAGE} --config ${CONFIG} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "installing failed")
endif()
