/* api.h: what every public header needs: export marks and C linkage. */
#ifndef SKUA_API_H
#define SKUA_API_H

#define SKUA_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define SKUA_BEGIN extern "C" {
#define SKUA_END }
#else
#define SKUA_BEGIN
#define SKUA_END
#endif

#endif
