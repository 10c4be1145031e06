"""Functions of C libraries that neither write files nor act on the world in any other way, by their names.

A program that calls C through ``ctypes`` could do anything at any time, unseen, so that nothing of unknown code runs
ahead from then on. Of libraries that do all their work in this way it is known which of their functions are harmless:
those that work on memory. What writes files, or talks to other machines (``LGBM_BoosterSaveModel``,
``XGBoosterSaveModel``, ``LGBM_NetworkInit``), is not among them.
"""

from __future__ import annotations

__all__ = ["in_memory"]

_NAMES = {
    "lightgbm": """
        LGBM_BoosterAddValidData LGBM_BoosterCalcNumPredict LGBM_BoosterCreate LGBM_BoosterDumpModel
        LGBM_BoosterFeatureImportance LGBM_BoosterFree LGBM_BoosterGetCurrentIteration LGBM_BoosterGetEval
        LGBM_BoosterGetEvalCounts LGBM_BoosterGetEvalNames LGBM_BoosterGetFeatureNames LGBM_BoosterGetLeafValue
        LGBM_BoosterGetLinear LGBM_BoosterGetLowerBoundValue LGBM_BoosterGetNumClasses LGBM_BoosterGetNumFeature
        LGBM_BoosterGetNumPredict LGBM_BoosterGetPredict LGBM_BoosterGetUpperBoundValue
        LGBM_BoosterLoadModelFromString LGBM_BoosterNumModelPerIteration LGBM_BoosterNumberOfTotalModel
        LGBM_BoosterPredictForCSC LGBM_BoosterPredictForCSR LGBM_BoosterPredictForMat LGBM_BoosterRefit
        LGBM_BoosterResetParameter LGBM_BoosterRollbackOneIter LGBM_BoosterSaveModelToString
        LGBM_BoosterSetLeafValue LGBM_BoosterShuffleModels LGBM_BoosterUpdateOneIter
        LGBM_BoosterUpdateOneIterCustom LGBM_DatasetAddFeaturesFrom LGBM_DatasetCreateByReference
        LGBM_DatasetCreateFromCSC LGBM_DatasetCreateFromCSR LGBM_DatasetCreateFromMat LGBM_DatasetCreateFromMats
        LGBM_DatasetFree LGBM_DatasetGetFeatureNames LGBM_DatasetGetFeatureNumBin LGBM_DatasetGetField
        LGBM_DatasetGetNumData LGBM_DatasetGetNumFeature LGBM_DatasetGetSubset LGBM_DatasetSetFeatureNames
        LGBM_DatasetSetField LGBM_DatasetUpdateParamChecking LGBM_DumpParamAliases LGBM_GetLastError
        LGBM_GetMaxThreads LGBM_GetSampleCount LGBM_RegisterLogCallback LGBM_SampleIndices LGBM_SetMaxThreads
    """,
    "xgboost": """
        XGBGetGlobalConfig XGBGetLastError XGBRegisterLogCallback XGBSetGlobalConfig XGBoostVersion XGBuildInfo
        XGBoosterBoostOneIter XGBoosterBoostedRounds XGBoosterCreate XGBoosterEvalOneIter XGBoosterFeatureScore
        XGBoosterFree XGBoosterGetAttr XGBoosterGetAttrNames XGBoosterGetNumFeature XGBoosterGetStrFeatureInfo
        XGBoosterLoadJsonConfig XGBoosterLoadModelFromBuffer XGBoosterPredict XGBoosterPredictFromCSR
        XGBoosterPredictFromColumnar XGBoosterPredictFromDMatrix XGBoosterPredictFromDense XGBoosterReset
        XGBoosterSaveJsonConfig XGBoosterSaveModelToBuffer XGBoosterSerializeToBuffer XGBoosterSetAttr
        XGBoosterSetParam XGBoosterSetStrFeatureInfo XGBoosterSlice XGBoosterTrainOneIter
        XGBoosterUnserializeFromBuffer XGBoosterUpdateOneIter XGCommunicatorGetRank XGCommunicatorGetWorldSize
        XGCommunicatorIsDistributed XGDMatrixCreateFromCSC XGDMatrixCreateFromCSR XGDMatrixCreateFromColumnar
        XGDMatrixCreateFromDense XGDMatrixFree XGDMatrixGetCategories XGDMatrixGetDataAsCSR XGDMatrixGetFloatInfo
        XGDMatrixGetInfoRef XGDMatrixGetQuantileCut XGDMatrixGetStrFeatureInfo XGDMatrixGetUIntInfo XGDMatrixNumCol
        XGDMatrixNumNonMissing XGDMatrixNumRow XGDMatrixSetInfoFromInterface XGDMatrixSetStrFeatureInfo
        XGDMatrixSliceDMatrix XGDMatrixSliceDMatrixEx XGProxyDMatrixCreate XGProxyDMatrixSetDataCSR
        XGProxyDMatrixSetDataColumnar XGProxyDMatrixSetDataDense XGQuantileDMatrixCreateFromCallback
    """,
}
_KNOWN = {package: frozenset(names.split()) for package, names in _NAMES.items()}


def in_memory(package: str, name: object) -> bool:
    """Whether what a package looks up in its C library is known to work on memory only."""
    return name in _KNOWN.get(package, ())
